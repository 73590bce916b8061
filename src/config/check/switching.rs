//! Who switches the transmitter of a serial line: `rs485` and `rts` of a serial bus.

use std::time::Duration;

use crate::config::defaults::RTS_RANGE;
use crate::config::keys::{self, Shape};
use crate::config::link::{Rs485, RtsTimes, Switching};
use crate::config::problem::{Complaint, Findings};
use crate::config::section::{Field, Section};
use crate::config::values;

pub(super) fn check(section: &Section<'_>, out: &mut Findings) -> Switching {
    let driver = section.get("rs485").and_then(|field| written(field, &keys::RS485, out, rs485));
    let gateway = section.get("rts").and_then(|field| written(field, &keys::RTS, out, rts));
    match (driver, gateway) {
        (Some(_), Some(_)) => {
            let complaint = Complaint::new("RTS is switched by the driver or by the gateway");
            out.error(&section.spot_of("rts"), complaint.hint("write either rs485 or rts"));
            Switching::Adapter
        }
        (Some(driver), None) => Switching::Driver(driver),
        (None, Some(gateway)) => Switching::Gateway(gateway),
        (None, None) => Switching::Adapter,
    }
}

/// `true` takes all defaults, `false` is like nothing.
fn written<T>(
    field: &Field<'_>,
    shape: &'static Shape,
    out: &mut Findings,
    read: impl FnOnce(Option<&Section<'_>>, &mut Findings) -> T,
) -> Option<T> {
    if field.text().is_some() {
        return field.scalar(out, values::boolean)?.then(|| read(None, out));
    }
    let section = field.section(shape, out);
    Some(read(Some(&section), out))
}

fn rs485(section: Option<&Section<'_>>, out: &mut Findings) -> Rs485 {
    let levels = [("high", true), ("low", false)];
    let level = section.and_then(|s| s.scalar("rts-on-send", out, values::word(&levels)));
    let required = section.and_then(|s| s.scalar("required", out, values::boolean));
    Rs485 {
        rts_high: level.unwrap_or(true),
        delay_before: delay(section, "delay-before", out),
        delay_after: delay(section, "delay-after", out),
        required: required.unwrap_or(false),
    }
}

fn rts(section: Option<&Section<'_>>, out: &mut Findings) -> RtsTimes {
    RtsTimes { before: delay(section, "before", out), after: delay(section, "after", out) }
}

fn delay(section: Option<&Section<'_>>, key: &str, out: &mut Findings) -> Duration {
    let read = |section: &Section<'_>| section.scalar(key, out, values::duration(RTS_RANGE));
    section.and_then(read).unwrap_or(Duration::ZERO)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config;

    fn parsed(keys: &str) -> Result<Switching, String> {
        let text = format!(
            "gateway: {{ name: g }}\nbroker:\nbuses: {{ b: {{ modbus-rtu: {{ port: /dev/x, baud: 9600, {keys} }} }} }}\n\
             devices: {{ d: {{ bus: b, unit: 1, tags: {{ t: {{ coil: 0 }} }} }} }}\n"
        );
        let loaded = config::parse(&text, "t").map_err(|problems| problems.to_string())?;
        Ok(loaded.plan.buses[0].link.serial().unwrap().switching)
    }

    #[test]
    fn the_driver_or_the_gateway_or_neither() {
        let ms = Duration::from_millis;
        let plain =
            Rs485 { rts_high: true, delay_before: ms(0), delay_after: ms(0), required: false };
        let times = RtsTimes { before: ms(1), after: ms(2) };
        let rows = [
            ("", Switching::Adapter),
            ("rs485: false, rts: false", Switching::Adapter),
            ("rs485: true", Switching::Driver(plain)),
            (
                "rs485: { rts-on-send: low, delay-before: 1ms, delay-after: 100ms, required: true }",
                Switching::Driver(Rs485 {
                    rts_high: false,
                    delay_before: ms(1),
                    delay_after: ms(100),
                    required: true,
                }),
            ),
            ("rts: { before: 1ms, after: 2ms }", Switching::Gateway(times)),
            ("rts: true", Switching::Gateway(RtsTimes { before: ms(0), after: ms(0) })),
        ];
        for (keys, want) in rows {
            assert_eq!(parsed(keys), Ok(want), "{keys}");
        }
        let both = parsed("rs485: true, rts: true").unwrap_err();
        assert!(both.contains("by the driver or by the gateway; write either"), "{both}");
        let long = parsed("rts: { before: 1s }").unwrap_err();
        assert!(long.contains("allowed are 0ms to 100ms"), "{long}");
        let level = parsed("rs485: { rts-on-send: up }").unwrap_err();
        assert!(level.contains("one of high, low"), "{level}");
    }
}
