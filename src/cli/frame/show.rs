//! Frames and fields as lines of text.

use std::process::ExitCode;

use crate::codec::sensor::{Cut, Decoder, Frame, Sample, Skip, Splitter};
use crate::config::SensorLink;
use crate::model::Quality;
use crate::model::sensor::{Ask, Parse, Place, UnitFrom};

/// Bytes of one frame that are shown.
const SHOWN_MAX: usize = 64;

/// Takes bytes as they come and prints what they are.
pub(super) struct Show {
    splitter: Splitter,
    decoder: Decoder,
    frames: usize,
    unmatched: usize,
    skipped: usize,
}

impl Show {
    pub(super) fn new(splitter: Splitter, decoder: Decoder) -> Self {
        Self { splitter, decoder, frames: 0, unmatched: 0, skipped: 0 }
    }

    /// `silent`: the line was silent before these bytes.
    pub(super) fn take(&mut self, silent: bool, bytes: &[u8]) {
        if silent && let Some(cut) = self.splitter.silence() {
            self.cut(&cut);
        }
        self.splitter.push(bytes);
        while let Some(cut) = self.splitter.next() {
            self.cut(&cut);
        }
    }

    /// The sum; a failure if there was no frame to be read.
    pub(super) fn finish(self) -> ExitCode {
        let Self { frames, unmatched, skipped, .. } = self;
        let s = if frames == 1 { "" } else { "s" };
        let pieces = if skipped == 1 { "piece" } else { "pieces" };
        println!("{frames} frame{s}, {unmatched} of no known form, {skipped} {pieces} skipped");
        if frames > 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }

    fn cut(&mut self, cut: &Cut) {
        match cut {
            Cut::Frame(frame) => self.frame(frame),
            Cut::Skipped { bytes, why } => {
                self.skipped += 1;
                println!("skipped  {}", printable(bytes));
                println!("         {}", reason(*why));
            }
        }
    }

    fn frame(&mut self, frame: &Frame) {
        println!("frame    {}", printable(&frame.bytes));
        println!("         {}", hexadecimal(&frame.bytes));
        let Some(samples) = self.decoder.decode(&frame.body) else {
            self.unmatched += 1;
            println!(
                "         whole, but of no known form; its content is {}",
                printable(&frame.body)
            );
            return;
        };
        self.frames += 1;
        let width = samples.iter().map(|sample| sample.name.len()).max().unwrap_or(0);
        for sample in &samples {
            println!("  {}", one(sample, width));
        }
        if samples.is_empty() {
            println!("  a known form, without any of its fields");
        }
    }
}

fn one(sample: &Sample, width: usize) -> String {
    let unit = sample.unit();
    let (value, quality) = match (sample.quality, sample.value(unit)) {
        (quality @ Quality::Bad(_), _) => ("-".to_owned(), quality),
        (_, Err(fault)) => ("-".to_owned(), Quality::Bad(fault)),
        (quality, Ok(value)) => (value.to_string(), quality),
    };
    let value = if unit.is_empty() { value } else { format!("{value} {unit}") };
    format!("{:<width$}  {value:<24}  {quality}", sample.name)
}

fn reason(why: Skip) -> String {
    match why {
        Skip::Noise => "nothing that begins a frame".to_owned(),
        Skip::NotFromStart => "its beginning was not seen".to_owned(),
        Skip::Incomplete => "broken off before its end".to_owned(),
        Skip::TooLong => "longer than frame-max".to_owned(),
        Skip::Malformed => "contradicts its own form".to_owned(),
        Skip::Checksum { want, got: Some(got) } => {
            format!("checksum {got:02X} stands there, {want:02X} would be right")
        }
        Skip::Checksum { want, got: None } => {
            format!("no checksum stands there, {want:02X} would be right")
        }
    }
}

/// As text, with escapes.
fn printable(bytes: &[u8]) -> String {
    let shown = bytes.get(..SHOWN_MAX).unwrap_or(bytes);
    let text = shown.escape_ascii();
    match bytes.len() - shown.len() {
        0 => format!("\"{text}\""),
        more => format!("\"{text}\" and {more} more bytes"),
    }
}

fn hexadecimal(bytes: &[u8]) -> String {
    let shown = bytes.get(..SHOWN_MAX).unwrap_or(bytes);
    let digits: Vec<_> = shown.iter().map(|byte| format!("{byte:02X}")).collect();
    let more = if bytes.len() > shown.len() { " …" } else { "" };
    format!("{}{more}", digits.join(" "))
}

/// What a description knows.
pub(super) fn fields(link: &SensorLink) {
    if let Some(preset) = &link.preset {
        println!("{preset}");
    }
    match &link.sensor.ask {
        Ask::Push => println!("sends by itself"),
        Ask::Poll(poll) => {
            let every = crate::config::show_duration(poll.every);
            println!("asked with {} every {every}", printable(&poll.send));
        }
    }
    for form in &link.sensor.forms {
        let how = match &form.parse {
            Parse::Regex(text) => format!("/{text}/"),
            Parse::Bytes => "by position".to_owned(),
            Parse::Split(separator) => format!("items between {}", printable(&[*separator])),
            Parse::KeyValue(_) => "keys and values".to_owned(),
            Parse::Json => "JSON".to_owned(),
            Parse::Sml => "SML".to_owned(),
        };
        let when = form.when.as_deref().map(|when| format!(" beginning with /{when}/"));
        println!("frames{}: {how}", when.unwrap_or_default());
        let width = form.fields.iter().map(|field| field.name.len()).max().unwrap_or(0);
        for field in &form.fields {
            let from = match &field.place {
                Place::Group(name) | Place::Key(name) | Place::Pointer(name) => name.clone(),
                Place::Item(number) => number.to_string(),
                Place::Bytes(span) if span.first == span.last => span.first.to_string(),
                Place::Bytes(span) => format!("{}..{}", span.first, span.last),
                Place::Nowhere => "its quality alone".to_owned(),
            };
            let unit = match &field.unit {
                UnitFrom::Unknown => String::new(),
                UnitFrom::Fixed(unit) => format!("  in {unit}"),
                UnitFrom::Fields(_) | UnitFrom::Beside => "  unit in the frame".to_owned(),
            };
            println!("  {:<width$}  from {from}{unit}", field.name);
        }
    }
}
