//! The tags of a sensor's devices: which sample is whose, what is published, what grew too old. Pure:
//! time is an input.

use std::time::Duration;

use crate::codec::sensor::Sample;
use crate::config::DevicePlan;
use crate::model::{Batch, Class, Fault, Mono, Quality, Reading};
use crate::south::publish;

/// See the module.
pub(super) struct Tags {
    devices: Vec<DevicePlan>,
    all: Vec<Tag>,
}

struct Tag {
    /// Indices into `devices` and its tags.
    device: usize,
    tag: usize,
    /// When a sample for it came, or since when one is waited for.
    renewed: Mono,
    published: Option<Reading>,
}

/// Readings of one device, ready to be handed on.
pub(super) struct Out {
    pub device: usize,
    pub batches: Vec<Batch>,
    /// Values that were held back by their publish rule.
    pub suppressed: u64,
}

impl Tags {
    pub(super) fn new(devices: Vec<DevicePlan>) -> Self {
        let index = |(device, plan): (usize, &DevicePlan)| {
            (0..plan.tags.len()).map(move |tag| Tag {
                device,
                tag,
                renewed: Mono::default(),
                published: None,
            })
        };
        let all = devices.iter().enumerate().flat_map(index).collect();
        Self { devices, all }
    }

    pub(super) fn devices(&self) -> &[DevicePlan] {
        &self.devices
    }

    /// From now on values are waited for.
    pub(super) fn wait_from(&mut self, now: Mono) {
        self.all.iter_mut().for_each(|tag| tag.renewed = now);
    }

    /// The tags that these samples are for. `emit` false renews them without making readings.
    /// Those whose field is not in an `expected` answer have no value.
    pub(super) fn frame(
        &mut self,
        samples: &[Sample],
        at: Mono,
        emit: bool,
        expected: bool,
    ) -> Vec<Out> {
        self.collect(|plan, tag| {
            let field = plan.field()?;
            let found = samples.iter().find(|sample| *sample.name == *field.name);
            if found.is_some() || expected {
                tag.renewed = at;
            }
            let reading = match found {
                Some(sample) if emit => sample.reading(plan.id, at, &plan.unit),
                None if expected => Reading::bad(plan.id, at, Fault::NotAvailable),
                _ => return None,
            };
            Some((publish::is_due(&plan.publish, tag.published.as_ref(), &reading), reading))
        })
    }

    /// Everything is bad, said once and then now and then.
    pub(super) fn all_bad(&mut self, fault: Fault, at: Mono) -> Vec<Out> {
        self.bad_where(fault, at, |_| true)
    }

    /// What was not renewed for so long is bad.
    pub(super) fn aged(&mut self, after: Duration, fault: Fault, now: Mono) -> Vec<Out> {
        self.bad_where(fault, now, |tag| now - tag.renewed >= after)
    }

    /// Whether no tag of a device was renewed for so long.
    pub(super) fn is_silent(&self, device: usize, after: Duration, now: Mono) -> bool {
        self.all.iter().filter(|tag| tag.device == device).all(|tag| now - tag.renewed >= after)
    }

    fn bad_where(&mut self, fault: Fault, at: Mono, is: impl Fn(&Tag) -> bool) -> Vec<Out> {
        let quality = Quality::Bad(fault);
        let mut out = self.collect(|plan, tag| {
            if !is(tag) {
                return None;
            }
            let due = publish::is_silence_due(&plan.publish, tag.published.as_ref(), at, quality);
            Some((due, Reading::bad(plan.id, at, fault)))
        });
        // A silence that was told already is no value that was held back.
        out.iter_mut().for_each(|out| out.suppressed = 0);
        out
    }

    /// Runs over all tags; what `make` gives with true is published.
    fn collect(
        &mut self,
        mut make: impl FnMut(&crate::config::TagPlan, &mut Tag) -> Option<(bool, Reading)>,
    ) -> Vec<Out> {
        let mut out: Vec<Out> = Vec::new();
        for tag in &mut self.all {
            let Some(plan) = self.devices.get(tag.device).and_then(|d| d.tags.get(tag.tag)) else {
                continue;
            };
            let Some((due, reading)) = make(plan, tag) else { continue };
            if out.last().is_none_or(|last| last.device != tag.device) {
                out.push(Out { device: tag.device, batches: Vec::new(), suppressed: 0 });
            }
            let Some(of_device) = out.last_mut() else { continue };
            if !due {
                of_device.suppressed += 1;
                continue;
            }
            tag.published = Some(reading.clone());
            of_device.add(plan.class, reading);
        }
        out
    }
}

impl Out {
    fn add(&mut self, class: Class, reading: Reading) {
        match self.batches.iter_mut().find(|batch| batch.class == class) {
            Some(batch) => batch.readings.push(reading),
            None => self.batches.push(Batch { class, readings: vec![reading] }),
        }
    }
}
