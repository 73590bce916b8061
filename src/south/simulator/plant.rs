//! The two devices of the demonstration and how their values move; the register map is in the
//! header of `configs/demo.yaml`. Values follow from the time alone, so a run can be repeated.

use std::f64::consts::TAU;
use std::time::Duration;

use super::{Bank, Devices};
use crate::model::Table;

/// A press with its PLC: unit 1, byte order ABCD.
#[derive(Clone)]
pub struct Press(Devices);

/// An energy meter: unit 3, byte order CDAB (the energy ABCD).
#[derive(Clone)]
pub struct Meter(Devices);

const PRESS: u8 = 1;
const METER: u8 = 3;

/// One stroke takes this long while the press runs.
const STROKE_S: f64 = 4.0;
/// The press runs for the first part of each cycle and stands still for the rest.
const CYCLE_S: f64 = 180.0;
const RUNNING_S: f64 = 150.0;
const RAMP_S: f64 = 5.0;

impl Press {
    /// With its values at time zero.
    pub fn new() -> Self {
        let mut bank = Bank::default();
        bank.set(PRESS, Table::Holding, 0, &[0; 22]);
        bank.set(PRESS, Table::Holding, 11, &[7]);
        bank.set(PRESS, Table::Holding, 12, &text("PO-2026-004711"));
        bank.set(PRESS, Table::Holding, 20, &wide(1_790_000_000));
        bank.set(PRESS, Table::Holding, 100, &[450, 210]);
        bank.set(PRESS, Table::Coil, 0, &[1, 0]);
        bank.set(PRESS, Table::Discrete, 0, &[1, 1]);
        bank.allow_writes(PRESS, Table::Holding, 100..=101);
        bank.allow_writes(PRESS, Table::Coil, 0..=1);
        let press = Self(Devices::new(bank));
        press.advance(Duration::ZERO);
        press
    }

    pub fn devices(&self) -> &Devices {
        &self.0
    }

    /// Moves all values to where they are at `time`.
    pub fn advance(&self, time: Duration) {
        let t = time.as_secs_f64();
        let mut bank = self.0.bank();
        let driven = bank.get(PRESS, Table::Coil, 0) == Some(1);
        let in_cycle = t % CYCLE_S;
        let running = driven && in_cycle < RUNNING_S;
        let state = match in_cycle {
            _ if !driven => 0,
            c if c < RAMP_S => 1,
            c if c < RUNNING_S - RAMP_S => 2,
            c if c < RUNNING_S => 3,
            _ => 0,
        };
        let oil_set = f64::from(bank.get(PRESS, Table::Holding, 100).unwrap_or(450));
        let bar_set = f64::from(bank.get(PRESS, Table::Holding, 101).unwrap_or(210));
        let stroke = if running { (t % STROKE_S) / STROKE_S } else { 0.0 };
        // The ram presses in the middle third of a stroke.
        let pressing = (3.0 * (stroke - 1.0 / 3.0)).clamp(0.0, 1.0) * std::f64::consts::PI;
        // Rounded, so that the half wave ends in a zero.
        let push = (pressing.sin().max(0.0) * 1e4).round() / 1e4;
        let oil = oil_set + 40.0 * (TAU * t / 600.0).sin() + ripple(t);
        let tool = 900.0 + 650.0 * (TAU * t / 420.0).sin() + 3.0 * ripple(t);
        let bar = if running { bar_set * (0.85 + 0.15 * push) + 0.3 * ripple(t) } else { 12.0 };
        let full_cycles = (t / CYCLE_S).floor() * (RUNNING_S / STROKE_S);
        let strokes = full_cycles + (in_cycle.min(RUNNING_S) / STROKE_S).floor();
        let force = bar_set * 5.0 * push;
        let power = if running { 8.0 + 46.0 * push + 0.2 * ripple(t) } else { 0.6 };
        let alarms = u16::from(oil > 600.0) | u16::from(running && bar < 60.0) << 1;

        bank.set(PRESS, Table::Holding, 0, &[state, whole(oil), whole(tool)]);
        bank.set(PRESS, Table::Holding, 3, &[whole(bar * 27_648.0 / 400.0)]);
        bank.set(PRESS, Table::Holding, 4, &wide(1_250_000 + counter(strokes)));
        bank.set(PRESS, Table::Holding, 6, &float(force));
        bank.set(PRESS, Table::Holding, 8, &float(power));
        bank.set(PRESS, Table::Holding, 10, &[alarms]);
    }
}

impl Default for Press {
    fn default() -> Self {
        Self::new()
    }
}

impl Meter {
    /// With its values at time zero.
    pub fn new() -> Self {
        let mut bank = Bank::default();
        bank.set(METER, Table::Input, 0, &[0; 14]);
        bank.set(METER, Table::Input, 70, &[0; 6]);
        bank.set(METER, Table::Holding, 0, &[10]);
        bank.allow_writes(METER, Table::Holding, 0..=0);
        let meter = Self(Devices::new(bank));
        meter.advance(Duration::ZERO);
        meter
    }

    pub fn devices(&self) -> &Devices {
        &self.0
    }

    /// Moves all values to where they are at `time`.
    pub fn advance(&self, time: Duration) {
        let t = time.as_secs_f64();
        let mut bank = self.0.bank();
        let mut volts = [0.0; 3];
        for (phase, volt) in (0_u8..).zip(&mut volts) {
            let shift = f64::from(phase) * 7.0;
            *volt = 231.5 + 3.0 * (TAU * (t + shift) / 97.0).sin() + 0.4 * ripple(t + shift);
        }
        let amps = 60.0 + 35.0 * (TAU * t / 45.0).sin() + ripple(t);
        let [l1, l2, l3] = volts;
        let watts = (l1 + l2 + l3) * amps * 0.92;
        let hertz = 50.0 + 0.03 * (TAU * t / 71.0).sin();
        // The mean power is 38.3 kW, which is 10.6 Wh per second.
        let energy = 48_211_907 + counter(t * 10.6);
        for (address, value) in [(0, l1), (2, l2), (4, l3), (6, amps), (12, watts), (70, hertz)] {
            let [high, low] = float(value);
            bank.set(METER, Table::Input, address, &[low, high]);
        }
        let [a, b] = wide(0);
        let [c, d] = wide(energy);
        bank.set(METER, Table::Input, 72, &[a, b, c, d]);
    }
}

impl Default for Meter {
    fn default() -> Self {
        Self::new()
    }
}

/// Small and without a period one would notice, between -1 and 1.
fn ripple(t: f64) -> f64 {
    (t * 1.7).sin() * 0.5 + (t * 0.61).sin() * 0.3 + (t * 4.3).sin() * 0.2
}

#[expect(clippy::cast_possible_truncation, reason = "the range is checked before")]
#[expect(clippy::cast_sign_loss, reason = "two's complement is what the register holds")]
fn whole(value: f64) -> u16 {
    let value = value.round().clamp(-32_768.0, 65_535.0);
    if value < 0.0 { (value as i16) as u16 } else { value as u16 }
}

#[expect(clippy::cast_possible_truncation, reason = "the range is checked before")]
#[expect(clippy::cast_sign_loss, reason = "the range is checked before")]
fn counter(value: f64) -> u32 {
    value.clamp(0.0, f64::from(u32::MAX / 2)) as u32
}

fn wide(value: u32) -> [u16; 2] {
    let [a, b, c, d] = value.to_be_bytes();
    [u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d])]
}

#[expect(clippy::cast_possible_truncation, reason = "the device has single precision")]
fn float(value: f64) -> [u16; 2] {
    wide((value as f32).to_bits())
}

/// 16 characters in eight registers, the rest NUL.
fn text(text: &str) -> [u16; 8] {
    let mut bytes = text.bytes();
    let mut next = || bytes.next().unwrap_or(0);
    std::array::from_fn(|_| u16::from_be_bytes([next(), next()]))
}
