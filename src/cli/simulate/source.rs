//! What is simulated: a configuration's devices, or one device of a profile with all its groups.

use std::path::Path;

use crate::cli::BadInput;
use crate::config::profile::{self, FILE_SUFFIX, Factory, Profile};
use crate::config::{Parity, Plan, Problems, file, load};

/// A plan, and what surrounds its buses when it is printed to be pasted.
pub(super) struct Source {
    pub plan: Plan,
    pub before: String,
    pub after: String,
}

/// Warnings are left out: what only matters to a gateway is no matter here.
pub(super) fn of_file(path: &Path) -> anyhow::Result<Source> {
    let loaded = load(path).map_err(|problems| wrong(&problems))?;
    Ok(Source { plan: loaded.plan, before: String::new(), after: String::new() })
}

/// A device of a shipped profile, or of one in `profiles` of the working directory.
pub(super) fn of_profile(name: &str, unit: Option<u8>, serial: bool) -> anyhow::Result<Source> {
    let own = Path::new(file::PROFILES_DIRECTORY).join(format!("{name}{FILE_SUFFIX}"));
    let is_own = !name.contains('/') && own.exists();
    let profile = match profile::shipped(name) {
        _ if is_own => file::load_profile(&own).map_err(|problems| wrong(&problems))?.0,
        Some(text) => profile::check(text, name, name).map_err(|problems| wrong(&problems))?.0,
        None => {
            let hint = "`fieldhold profile list` shows all";
            return Err(BadInput(format!("there is no profile {name:?}; {hint}")).into());
        }
    };
    let factory = profile.head.serial.as_ref();
    let unit = unit.or(factory.and_then(|factory| factory.unit)).unwrap_or(1);
    let bus = if serial { line(factory) } else { "modbus-tcp: { host: simulated }".to_owned() };
    let before = "gateway: { name: simulation }\n".to_owned();
    let after = device(&profile, unit);
    let text = format!("{before}buses:\n  bus: {{ {bus} }}\n{after}");
    let loaded = file::parse_in(Path::new(""), &text, name).map_err(|problems| wrong(&problems))?;
    Ok(Source { plan: loaded.plan, before, after })
}

fn device(profile: &Profile, unit: u8) -> String {
    let name = &profile.head.name;
    let groups: Vec<_> = profile.groups.iter().map(|group| group.name.as_str()).collect();
    let groups = groups.join(", ");
    format!(
        "devices:\n  {name}: {{ bus: bus, unit: {unit}, profile: {name}, groups: [{groups}] }}\n"
    )
}

/// A line with the settings that the device has from its factory.
fn line(factory: Option<&Factory>) -> String {
    let baud = factory.and_then(|factory| factory.baud).unwrap_or(9_600);
    let parity = match factory.and_then(|factory| factory.parity) {
        Some(Parity::Even) => "even",
        Some(Parity::Odd) => "odd",
        Some(Parity::None) | None => "none",
    };
    let stop_bits = factory.and_then(|factory| factory.stop_bits).unwrap_or(1);
    format!(
        "modbus-rtu: {{ port: simulated, baud: {baud}, parity: {parity}, stop-bits: {stop_bits} }}"
    )
}

fn wrong(problems: &Problems) -> BadInput {
    BadInput(problems.to_string())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::codec::registers::Decoded;
    use crate::south::simulator::{Start, World};

    #[test]
    fn every_shipped_profile_can_be_played_with_a_good_value_for_every_tag() {
        for (name, _) in profile::SHIPPED {
            for serial in [false, true] {
                let source =
                    of_profile(name, None, serial).unwrap_or_else(|e| panic!("{name}: {e}"));
                let world = World::of(&source.plan, Start { seed: 1, epoch_s: 1_767_225_600 });
                for second in [0, 40] {
                    world.advance(Duration::from_secs(second));
                    let values = world.lines[0].values();
                    assert!(!values.is_empty(), "{name}");
                    for (tag, words, value) in values {
                        let good = matches!(value, Decoded::Good(_) | Decoded::Uncertain(..));
                        assert!(good, "{name} {}: {value:?} of {words:04x?}", tag.name);
                    }
                }
            }
        }
    }

    #[test]
    fn a_profile_that_is_not_there_is_a_mistake() {
        let error = of_profile("acme-9000", None, false).err().unwrap();
        assert!(error.is::<BadInput>() && error.to_string().contains("profile list"), "{error}");
    }
}
