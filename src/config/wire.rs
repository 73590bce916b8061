//! How long a request occupies its line: the yardstick of the block planner, of the utilisation
//! that is shown before a start, and of the share of the wire limit that is really reached.
//!
//! A transaction takes `characters * tc + 2 * t3.5 + Ts`: both frames, the silence before each
//! (MODBUS over Serial Line V1.02, 2.5.1.1) and the device's turnaround. ASCII needs no silence, but
//! two characters for each byte and three more for a frame, less one byte of checksum. On TCP the
//! round trip takes the place of the silences and the turnaround, and characters cost next to
//! nothing.
//! Pure arithmetic; knows no port and no clock.

use std::time::Duration;

use super::link::{Framing, Link, ModbusLink, Parity, SerialLine, Wire};
use crate::model::Table;

/// Turnaround of a serial device as long as nothing was measured.
pub const TURNAROUND_ASSUMED: Duration = Duration::from_millis(5);

/// Round trip to a TCP device, its turnaround included, as long as nothing was measured.
pub const ROUND_TRIP_ASSUMED: Duration = Duration::from_millis(10);

/// Above this baud rate the silence is a constant (MODBUS over Serial Line V1.02, 2.5.1.1).
const SILENCE_BAUD_MAX: u32 = 19_200;
const SILENCE_FAST_S: f64 = 0.001_75;

/// What a byte costs on TCP, in seconds: small, but a shorter answer still wins a tie.
const TCP_BYTE_S: f64 = 0.000_000_5;

/// A line behind a converter as long as nothing is known of it: 11 bits per character at 19200 baud.
const CONVERTER_CHARACTER_S: f64 = 11.0 / 19_200.0;

/// Bytes of a read's request and answer without the data, in frames of RTU.
const READ_BYTES: u32 = 13;
/// Function 5 or 6, request and echo.
const WRITE_ONE_BYTES: u32 = 16;
/// Function 15 or 16 without the data.
const WRITE_MANY_BYTES: u32 = 17;
/// Function 22, request and echo.
const MASK_WRITE_BYTES: u32 = 20;

/// Cost of one block, in seconds: `fixed + each * span`, a span counted in registers or bits.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Cost {
    pub fixed: f64,
    pub each: f64,
}

impl Cost {
    /// Line time of a block of this span, in seconds.
    pub fn of(self, span: u32) -> f64 {
        self.fixed + self.each * f64::from(span)
    }
}

/// The times of one line.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LineTime {
    /// One character (serial) or byte (TCP), in seconds.
    character: f64,
    /// Characters that a byte of a frame of RTU takes.
    per_byte: f64,
    /// Least silence between frames (t3.5), in seconds; 0 on TCP.
    silence: f64,
    /// What every transaction costs on top of its characters, in seconds.
    fixed: f64,
}

impl LineTime {
    /// The line with the assumed turnaround or round trip.
    pub fn of(link: &Link) -> Self {
        let Link::Modbus(ModbusLink { wire, framing }) = link else {
            // Nothing of a sensor is planned by registers.
            return Self::tcp(ROUND_TRIP_ASSUMED);
        };
        match (wire, framing) {
            (Wire::Serial(line), _) => Self::port(line, *framing, TURNAROUND_ASSUMED),
            (_, Framing::Tcp) => Self::tcp(ROUND_TRIP_ASSUMED),
            (_, Framing::Rtu) => Self::converter(ROUND_TRIP_ASSUMED),
            (_, Framing::Ascii) => Self::converter(ROUND_TRIP_ASSUMED).in_ascii(),
        }
    }

    /// A serial port's frames and silences alone; `None` where there is no port.
    pub fn frames(link: &Link) -> Option<Self> {
        let framing = link.modbus()?.framing;
        link.serial().map(|line| Self::port(line, framing, Duration::ZERO))
    }

    fn port(line: &SerialLine, framing: Framing, turnaround: Duration) -> Self {
        let rtu = Self::serial(line, turnaround);
        match framing {
            Framing::Tcp | Framing::Rtu => rtu,
            Framing::Ascii => {
                Self { fixed: turnaround.as_secs_f64(), silence: 0.0, ..rtu }.in_ascii()
            }
        }
    }

    /// A serial line of unknown speed behind a converter on the network.
    fn converter(round_trip: Duration) -> Self {
        Self { character: CONVERTER_CHARACTER_S, ..Self::tcp(round_trip) }
    }

    /// A frame of RTU of n bytes, without its two of CRC, with one of LRC, a colon, CR and LF, takes
    /// 2n + 1 characters: two for each byte, and two more for request and answer together.
    fn in_ascii(mut self) -> Self {
        self.per_byte = 2.0;
        self.fixed += 2.0 * self.character;
        self
    }

    /// A line with RTU whose devices take `turnaround` from the request's last character to the
    /// answer's first, silences not included.
    pub fn serial(line: &SerialLine, turnaround: Duration) -> Self {
        let baud = line.baud.max(1);
        let character = f64::from(character_bits(line)) / f64::from(baud);
        let silence = if baud <= SILENCE_BAUD_MAX { 3.5 * character } else { SILENCE_FAST_S };
        Self { character, per_byte: 1.0, silence, fixed: 2.0 * silence + turnaround.as_secs_f64() }
    }

    /// One TCP connection with one request at a time.
    pub fn tcp(round_trip: Duration) -> Self {
        Self { character: TCP_BYTE_S, per_byte: 1.0, silence: 0.0, fixed: round_trip.as_secs_f64() }
    }

    /// The same line with a pause after every transaction.
    #[must_use]
    pub fn with_pause(mut self, pause: Duration) -> Self {
        self.fixed += pause.as_secs_f64();
        self
    }

    /// One character on the wire.
    pub fn character(&self) -> Duration {
        Duration::from_secs_f64(self.character)
    }

    /// The silence that separates two frames (t3.5); zero on TCP.
    pub fn silence(&self) -> Duration {
        Duration::from_secs_f64(self.silence)
    }

    /// Functions 3 and 4.
    pub fn read_registers(&self, count: u16) -> Duration {
        self.transaction(READ_BYTES + 2 * u32::from(count))
    }

    /// Functions 1 and 2.
    pub fn read_bits(&self, count: u16) -> Duration {
        self.transaction(READ_BYTES + u32::from(count.div_ceil(8)))
    }

    /// Reading `count` registers or bits of this table.
    pub fn read(&self, table: Table, count: u16) -> Duration {
        if table.is_bits() { self.read_bits(count) } else { self.read_registers(count) }
    }

    /// Functions 5 and 6.
    pub fn write_one(&self) -> Duration {
        self.transaction(WRITE_ONE_BYTES)
    }

    /// Function 16.
    pub fn write_registers(&self, count: u16) -> Duration {
        self.transaction(WRITE_MANY_BYTES + 2 * u32::from(count))
    }

    /// Function 15.
    pub fn write_bits(&self, count: u16) -> Duration {
        self.transaction(WRITE_MANY_BYTES + u32::from(count.div_ceil(8)))
    }

    /// Function 22.
    pub fn mask_write(&self) -> Duration {
        self.transaction(MASK_WRITE_BYTES)
    }

    /// F and R of the block planner for this table.
    pub fn cost(&self, table: Table) -> Cost {
        Cost {
            fixed: f64::from(READ_BYTES) * self.per_byte * self.character + self.fixed,
            each: self.per_byte * self.character * if table.is_bits() { 0.125 } else { 2.0 },
        }
    }

    /// Of request and answer with so many bytes together, in frames of RTU.
    fn transaction(&self, bytes: u32) -> Duration {
        let characters = f64::from(bytes) * self.per_byte;
        Duration::from_secs_f64(characters * self.character + self.fixed)
    }
}

/// Bits of a character with its start, parity and stop bits.
fn character_bits(line: &SerialLine) -> u8 {
    let parity = u8::from(line.parity != Parity::None);
    1 + line.data_bits + parity + line.stop_bits
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::link::Switching;

    fn line(baud: u32, parity: Parity, stop_bits: u8) -> SerialLine {
        SerialLine {
            port: "/dev/ttyS0".into(),
            baud,
            data_bits: 8,
            parity,
            stop_bits,
            switching: Switching::Adapter,
        }
    }

    fn ms(time: Duration) -> f64 {
        time.as_secs_f64() * 1e3
    }

    /// The yardstick table: 11 bits per character, turnaround 0.
    #[test]
    fn read_times_match_the_yardstick() {
        let rows = [
            (9_600, 25.2, 45.8, 309.4, 404.0),
            (19_200, 12.6, 22.9, 154.7, 808.0),
            (115_200, 4.9, 6.7, 28.6, 4_369.0),
        ];
        for (baud, one, ten, all, per_second) in rows {
            for serial in [line(baud, Parity::Even, 1), line(baud, Parity::None, 2)] {
                let time = LineTime::serial(&serial, Duration::ZERO);
                for (count, want) in [(1, one), (10, ten), (125, all)] {
                    let got = ms(time.read_registers(count));
                    assert!((got - want).abs() < 0.06, "{baud} n={count}: {got} for {want}");
                }
                let rate = 125.0 / time.read_registers(125).as_secs_f64();
                assert!((rate - per_second).abs() < 1.0, "{baud}: {rate} for {per_second}");
            }
        }
    }

    #[test]
    fn frames_have_the_length_of_the_specification() {
        // 1 ms per character, silences 3.5 ms each.
        let time = LineTime::serial(&line(11_000, Parity::Odd, 1), Duration::from_millis(2));
        let cases = [
            (time.read_bits(1), 14.0),
            (time.read_bits(8), 14.0),
            (time.read_bits(9), 15.0),
            (time.read(Table::Coil, 16), 15.0),
            (time.read(Table::Input, 16), 45.0),
            (time.write_one(), 16.0),
            (time.write_registers(3), 23.0),
            (time.write_bits(9), 19.0),
            (time.mask_write(), 20.0),
        ];
        for (i, (got, characters)) in cases.into_iter().enumerate() {
            assert!((ms(got) - (characters + 9.0)).abs() < 1e-6, "case {i}: {got:?}");
        }
        assert_eq!(time.character(), Duration::from_millis(1));
        assert_eq!(time.silence(), Duration::from_micros(3_500));
        let eight_n_one = LineTime::serial(&line(10_000, Parity::None, 1), Duration::ZERO);
        assert_eq!(eight_n_one.character(), Duration::from_millis(1));
    }

    /// Counted by hand: `:11 03 0013 0008 D1 CR LF` has 17 characters, an answer with eight registers
    /// `:11 03 10 … LRC CR LF` 43; seven data bits with parity make ten bits of one.
    #[test]
    fn ascii_takes_two_characters_per_byte_and_no_silence() {
        let line = SerialLine { data_bits: 7, ..line(10_000, Parity::Even, 1) };
        let link = Link::Modbus(ModbusLink { wire: Wire::Serial(line), framing: Framing::Ascii });
        let time = LineTime::frames(&link).unwrap();
        assert_eq!(time.character(), Duration::from_millis(1));
        assert_eq!(time.silence(), Duration::ZERO);
        assert_eq!(time.read_registers(8), Duration::from_millis(17 + 43));
        assert_eq!(time.write_one(), Duration::from_millis(17 + 17));
        assert_eq!(LineTime::of(&link).read_bits(1), Duration::from_millis(17 + 13 + 5));
    }

    #[test]
    fn the_planners_cost_is_the_read_time() {
        let serial = LineTime::of(&Link::modbus_rtu(line(19_200, Parity::Even, 1)));
        let tcp = LineTime::of(&Link::modbus_tcp("plc", 502));
        let behind = |framing| {
            let wire = Link::modbus_tcp("moxa", 4001).modbus().unwrap().wire.clone();
            LineTime::of(&Link::Modbus(ModbusLink { wire, framing }))
        };
        let (rtu, ascii) = (behind(Framing::Rtu), behind(Framing::Ascii));
        assert!(tcp.read_registers(125) < rtu.read_registers(125));
        assert!(rtu.read_registers(125) < ascii.read_registers(125));
        let paused = serial.with_pause(Duration::from_millis(20));
        for time in [serial, tcp, rtu, ascii, paused] {
            for table in [Table::Holding, Table::Coil] {
                let planned = time.cost(table).of(64);
                assert!((planned - time.read(table, 64).as_secs_f64()).abs() < 1e-8);
            }
        }
        assert!(
            serial.with_pause(Duration::from_millis(20)).read_registers(1)
                > serial.read_registers(1)
        );
        assert!(tcp.read_registers(125) < ROUND_TRIP_ASSUMED + Duration::from_millis(1));
    }
}
