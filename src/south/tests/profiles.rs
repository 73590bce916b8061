//! Every shipped profile against a device that is made of it.

use std::collections::BTreeMap;

use super::*;
use crate::codec::registers::{Decoded, at_power, encode};
use crate::config::profile::{self, SHIPPED};
use crate::config::wire::LineTime;
use crate::south::device::Device;
use crate::south::schedule::Due;
use crate::south::simulator::{Start, TcpServer, World};

/// A configuration with all groups of a profile.
fn plan(name: &str, device: &str) -> crate::config::Plan {
    let text = SHIPPED.iter().find(|(known, _)| *known == name).unwrap().1;
    let (profile, _) = profile::check(text, name, name).unwrap_or_else(|p| panic!("{p}"));
    let groups: Vec<_> = profile.groups.iter().map(|group| group.name.as_str()).collect();
    let text = format!(
        "gateway: {{ name: g }}\nbroker:\nbuses: {{ b: {{ modbus-tcp: {{ host: 127.0.0.1 }} }} }}\n\
         devices: {{ d: {{ bus: b, profile: {name}, groups: [{}], {device} }} }}\n",
        groups.join(", ")
    );
    let mut plan = crate::config::parse(&text, "t").unwrap_or_else(|p| panic!("{p}")).plan;
    let ids: Vec<TagId> = (1..).take(plan.tags().count()).map(TagId).collect();
    plan.assign_ids(&ids);
    plan
}

fn world(plan: &crate::config::Plan) -> World {
    World::of(plan, Start { seed: 7, epoch_s: 1_790_000_000 })
}

/// What the simulated device shows, by tag; and that the registers hold exactly that.
fn shown(world: &World, name: &str) -> Vec<Decoded> {
    let mut all = Vec::new();
    for (tag, words, decoded) in world.lines[0].values() {
        let value = match &decoded {
            Decoded::Good(value) | Decoded::Uncertain(value, _) => value,
            Decoded::Bad(fault) => panic!("{name}.{}: {fault:?} in {words:04X?}", tag.name),
        };
        let coding = match tag.registers.scale_register {
            Some(_) => at_power(&tag.registers.coding, (-1_i16).cast_unsigned()).unwrap(),
            None => tag.registers.coding.clone(),
        };
        let encoded = encode(&coding, value).unwrap_or_else(|e| panic!("{name}.{}: {e}", tag.name));
        let mask = encoded.mask.unwrap_or(u16::MAX);
        let same = words.iter().zip(&encoded.words).all(|(a, b)| a & mask == b & mask);
        assert!(same, "{name}.{}: {value} is {:04X?}, not {words:04X?}", tag.name, encoded.words);
        all.push(decoded);
    }
    all
}

/// Reads all tags with the real plan and compares.
fn read(name: &str, device: &str) -> usize {
    let plan = plan(name, device);
    let world = world(&plan);
    world.advance(Duration::from_secs(33));
    let want = shown(&world, name);
    let device = plan.buses[0].devices[0].clone();
    let unit = device.unit;
    let tags = device.tags.clone();
    let mut device =
        Device::new(device, LineTime::tcp(Duration::from_millis(10)), None, &BTreeMap::new());
    let (requests, resting) = device.start_job(Due(u64::MAX), Mono(1));
    assert!(resting.is_empty() && requests > 0, "{name}");
    let mut readings = Vec::new();
    while let Some((request, _)) = device.next_request() {
        let (start, count) = (request.block.start, request.block.count);
        let mut bank = world.lines[0].devices.bank();
        let words: Option<Vec<u16>> =
            (0..count).map(|at| bank.get(unit, request.table, start.checked_add(at)?)).collect();
        let words = words.unwrap_or_else(|| panic!("{name}: {start} and {count} are not there"));
        // The device itself would answer this request too.
        let function = match request.table {
            Table::Coil => 1,
            Table::Discrete => 2,
            Table::Holding => 3,
            Table::Input => 4,
        };
        let [a, b] = start.to_be_bytes();
        let [c, d] = count.to_be_bytes();
        let answer = bank.answer(unit, &[function, a, b, c, d]).unwrap();
        assert_eq!(answer[0], function, "{name}: {count} from {start} is refused: {answer:02X?}");
        drop(bank);
        readings.extend(device.readings(&request.block, &words, Mono(2)));
    }
    for (tag, want) in tags.iter().zip(want) {
        let got = readings.iter().find(|reading| reading.tag() == tag.id);
        assert_eq!(got, Some(&want.reading(tag.id, Mono(2))), "{name}.{}", tag.name);
    }
    assert_eq!(readings.len(), tags.len(), "{name}");
    readings.len()
}

#[test]
fn every_tag_of_every_shipped_profile_is_read_right() {
    let tags: usize = SHIPPED.iter().map(|(name, _)| read(name, "every: 1s")).sum();
    assert!(SHIPPED.len() >= 40 && tags >= 1_000, "{tags} tags of {} profiles", SHIPPED.len());
}

/// The same through the engine, over TCP.
#[tokio::test]
async fn profiles_are_polled_over_tcp() {
    for name in ["eastron-sdm630", "sunspec-inverter", "abb-b23", "sunspec-common"] {
        let mut plan = plan(name, "every: 1s");
        let world = world(&plan);
        let want = shown(&world, name);
        let server = TcpServer::bind("127.0.0.1:0", world.lines[0].devices.clone()).await.unwrap();
        let port = server.address().unwrap().port();
        let stop = CancellationToken::new();
        let _guard = stop.clone().drop_guard();
        #[expect(clippy::disallowed_methods, reason = "ends with the guard")]
        tokio::spawn(server.run(stop));
        let mut bus = plan.buses.remove(0);
        bus.link = Link::modbus_tcp("127.0.0.1".to_owned(), port);
        let tags = bus.devices[0].tags.clone();
        let stand = Stand::start(bus);
        stand.until("all tags", |s| tags.iter().all(|tag| s.last(tag.id.0).is_some())).await;
        for (tag, want) in tags.iter().zip(want) {
            let got = stand.of(tag.id.0).remove(0);
            assert_eq!(got, want.reading(tag.id, got.at()), "{name}.{}", tag.name);
        }
        stand.stop().await;
    }
}
