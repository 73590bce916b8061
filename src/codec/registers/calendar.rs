//! Moments ↔ ISO 8601 text, in UTC or without a zone; years 1970 to 9999.
//!
//! The day arithmetic follows Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms".

const DAY_S: u64 = 86_400;

/// The first second of the year 10000.
const END_S: u64 = 253_402_300_800;

/// `2026-11-23T14:31:00Z`; `None` beyond the year 9999.
pub(super) fn from_seconds(seconds: u64) -> Option<String> {
    Some(stamp(seconds)? + "Z")
}

/// `2026-11-23T14:31:00.000Z`; `None` beyond the year 9999.
pub(super) fn from_millis(millis: u64) -> Option<String> {
    Some(format!("{}.{:03}Z", stamp(millis / 1000)?, millis % 1000))
}

/// Six BCD bytes YY MM DD hh mm ss of the years 2000 to 2099; `None` if they name no moment.
pub(super) fn from_bcd(code: u64) -> Option<String> {
    let mut fields = [0_u64; 6];
    for (field, byte) in fields.iter_mut().zip(code.to_be_bytes().into_iter().skip(2)) {
        let (tens, ones) = (byte >> 4, byte & 15);
        if tens > 9 || ones > 9 {
            return None;
        }
        *field = u64::from(tens) * 10 + u64::from(ones);
    }
    let [year, month, day, hour, minute, second] = fields;
    stamp(seconds([2000 + year, month, day, hour, minute, second])?)
}

/// The inverse of [`from_seconds`]; also takes `.000`.
pub(super) fn to_seconds(text: &str) -> Option<u64> {
    let millis = to_millis(text)?;
    let seconds = millis / 1000;
    (millis % 1000 == 0 && u32::try_from(seconds).is_ok()).then_some(seconds)
}

/// The inverse of [`from_millis`]; the fraction may be missing or shorter.
pub(super) fn to_millis(text: &str) -> Option<u64> {
    let (moment, fraction) = match text.strip_suffix('Z')?.split_once('.') {
        Some((moment, fraction)) => (moment, fraction),
        None => (text.strip_suffix('Z')?, "0"),
    };
    if fraction.is_empty() || fraction.len() > 3 || !fraction.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let millis: u64 = format!("{fraction:0<3}").parse().ok()?;
    Some(seconds(fields(moment)?)? * 1000 + millis)
}

/// The inverse of [`from_bcd`].
pub(super) fn to_bcd(text: &str) -> Option<u64> {
    let fields = fields(text)?;
    seconds(fields)?;
    let [year, rest @ ..] = fields;
    let year = year.checked_sub(2000).filter(|year| *year < 100)?;
    Some(rest.into_iter().fold(bcd(year), |code, field| code << 8 | bcd(field)))
}

fn bcd(field: u64) -> u64 {
    ((field / 10) << 4) | (field % 10)
}

/// `YYYY-MM-DDThh:mm:ss`.
fn stamp(seconds: u64) -> Option<String> {
    if seconds >= END_S {
        return None;
    }
    let (days, time) = (seconds / DAY_S, seconds % DAY_S);
    let shifted = days + 719_468; // days since 0000-03-01
    let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    let (hour, minute, second) = (time / 3600, time / 60 % 60, time % 60);
    Some(format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}"))
}

/// Year, month, day, hour, minute, second; not yet checked for sense.
fn fields(text: &str) -> Option<[u64; 6]> {
    let shape = text.bytes().zip(b"0000-00-00T00:00:00").all(|(byte, like)| match like {
        b'0' => byte.is_ascii_digit(),
        _ => byte == *like,
    });
    if !shape || text.len() != 19 {
        return None;
    }
    let mut fields = [0; 6];
    for (field, part) in fields.iter_mut().zip(text.split(['-', 'T', ':'])) {
        *field = part.parse().ok()?;
    }
    Some(fields)
}

/// Seconds since 1970; `None` if there is no such moment.
fn seconds([year, month, day, hour, minute, second]: [u64; 6]) -> Option<u64> {
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let days = match month {
        2 => 28 + u64::from(leap),
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => return None,
    };
    if year < 1970 || !(1..=days).contains(&day) || hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let year = year - u64::from(month <= 2);
    let from_march = if month > 2 { month - 3 } else { month + 9 };
    let day_of_year = (153 * from_march + 2) / 5 + day - 1;
    let year_of_era = year % 400;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    let day_number = (year / 400 * 146_097 + day_of_era).checked_sub(719_468)?;
    Some(day_number * DAY_S + hour * 3600 + minute * 60 + second)
}
