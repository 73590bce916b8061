//! The demonstration's configuration against the plant that the simulator plays: every tag has a
//! good value, and what may be written can be.

use super::*;
use crate::south::simulator::{Meter, Press, Pty, RtuSlave, TcpServer};

const DEMO: &str = include_str!("../../../configs/demo.yaml");

#[tokio::test]
async fn every_tag_of_the_demonstration_has_a_good_value() {
    let (press, meter) = (Press::new(), Meter::new());
    let server = TcpServer::bind("127.0.0.1:0", press.devices().clone()).await.unwrap();
    let address = server.address().unwrap();
    let pty = Pty::open().unwrap();
    let line = pty.path().to_owned();
    let slave = RtuSlave::new(meter.devices().clone()).with_speed(19_200, ms(4));
    let stop = CancellationToken::new();
    let mut plant = tokio::task::JoinSet::new();
    plant.spawn(server.run(stop.clone()));
    plant.spawn(slave.run(pty, stop.clone()));

    let mut plan = crate::config::parse(DEMO, "demo.yaml").unwrap().plan;
    let ids: Vec<TagId> = (0..).map(TagId).take(plan.metas().len()).collect();
    plan.assign_ids(&ids);
    let mut next = ids.into_iter();
    for mut bus in plan.buses {
        match bus.link.serial_mut() {
            Some(serial) => serial.port.clone_from(&line),
            None => bus.link = Link::modbus_tcp("127.0.0.1", address.port()),
        }
        let tags: Vec<_> = bus
            .devices
            .iter()
            .flat_map(|device| device.tags.iter().map(|tag| (device.name.clone(), tag.clone())))
            .zip(next.by_ref())
            .map(|((device, tag), id)| (device, tag.name, id.0))
            .collect();
        let stand = Stand::start(bus);
        for (device, tag, id) in &tags {
            stand.until(&format!("{device}.{tag}"), |s| s.value(*id).is_some()).await;
            assert_eq!(stand.quality(*id), Some(Quality::Good), "{device}.{tag}");
        }
        let writes = [
            ("press", "oil_setpoint", Value::F64(51.5)),
            ("press", "drive", Value::Bool(false)),
            ("meter", "averaging_time", Value::U64(5)),
        ];
        for (device, tag, value) in writes {
            if tags.iter().any(|(d, t, _)| d.as_str() == device && t.as_str() == tag) {
                let outcome = stand.command(device, tag, value.clone()).await;
                assert_eq!(outcome, Outcome::Done { read_back: value }, "{device}.{tag}");
            }
        }
        let status = stand.stop().await;
        assert_eq!(status.devices[0].readings_bad, 0, "{}", status.name);
    }
    assert_eq!(press.devices().bank().get(1, Table::Holding, 100), Some(515));
}
