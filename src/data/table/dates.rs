//! Dates, as days since 1970 began.

/// The three numbers of a date that is written as `yyyy-mm-dd`, `dd.mm.yyyy` or `mm/dd/yyyy`, in the order of year, month and day.
fn parts(day: &str) -> Option<[u32; 3]> {
    ['-', '.', '/'].iter().find_map(|&separator| {
        let mut parts = day.split(separator);
        let [a, b, c] = [(); 3].map(|()| {
            parts.next().filter(|part| (1..=4).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_digit()))
        });
        let (a, b, c) = (a?, b?, c?);
        let number = |part: &str| part.parse::<u32>().ok();
        match [a.len(), b.len(), c.len()] {
            _ if parts.next().is_some() => None,
            [4, 1..=2, 1..=2] => Some([number(a)?, number(b)?, number(c)?]),
            // Where the month is named first it is by a slash.
            [1..=2, 1..=2, 4] if separator == '/' => Some([number(c)?, number(a)?, number(b)?]),
            [1..=2, 1..=2, 4] => Some([number(c)?, number(b)?, number(a)?]),
            _ => None,
        }
    })
}

/// The day and what stands behind it.
fn cut(text: &str) -> (&str, Option<&str>) {
    match text.split_once([' ', 'T']) {
        Some((day, time)) => (day, Some(time)),
        None => (text, None),
    }
}

/// Whether it is written as a date is, perhaps with a time.
pub(super) fn is_date(text: &str) -> bool {
    // Most cells begin with no digit, or hold nothing that parts one.
    text.as_bytes().first().is_some_and(u8::is_ascii_digit) && parts(cut(text).0).is_some()
}

/// The days since 1970 began of a date, perhaps with a time of day; one with an offset from UTC is brought there.
pub(super) fn date(text: &str) -> Option<f64> {
    let (day, time) = cut(text);
    let [year, month, day] = parts(day)?;
    if !(1..=12).contains(&month) || day < 1 || day > days_in(year, month) {
        return None;
    }
    let days = days_from_1970(i64::from(year), month, day) as f64;
    time.map_or(Some(0.0), |time| time_of_day(time.trim())).map(|time| days + time)
}

/// `hh:mm`, `hh:mm:ss` or `hh:mm:ss.fff`, perhaps followed by `Z` or an offset such as `+02:00`, as a part of a day.
fn time_of_day(text: &str) -> Option<f64> {
    let text = text.strip_suffix('Z').unwrap_or(text);
    let (clock, offset) = match text.rfind(['+', '-']) {
        Some(at) => (text[..at].trim_end(), &text[at..]),
        None => (text, ""),
    };
    let number = |part: &str, most: f64| {
        let digits = part.bytes().all(|b| b.is_ascii_digit() || b == b'.');
        part.parse::<f64>().ok().filter(|n| digits && *n < most)
    };
    let hours = |text: &str| {
        let mut parts = text.split(':');
        let hour = number(parts.next()?, 24.0)?;
        let minute = number(parts.next()?, 60.0)?;
        // A leap second is one.
        let second = parts.next().map_or(Some(0.0), |part| number(part, 61.0))?;
        parts.next().is_none().then_some(hour * 3600.0 + minute * 60.0 + second)
    };
    let away = match offset.strip_prefix(['+', '-']) {
        None => 0.0,
        // +0200, +02
        Some(away) if !away.contains(':') && away.is_ascii() && [2, 4].contains(&away.len()) => {
            hours(&format!("{}:{}", &away[..2], if away.len() == 4 { &away[2..] } else { "0" }))?
        }
        Some(away) => hours(away)?,
    };
    let away = if offset.starts_with('-') { -away } else { away };
    Some((hours(clock)? - away) / 86_400.0)
}

fn is_leap(year: i64) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

fn days_in(year: u32, month: u32) -> u32 {
    match month {
        2 => 28 + u32::from(is_leap(i64::from(year))),
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days from the first of January 1970 to a date of the Gregorian calendar (Howard Hinnant's `days_from_civil`).
fn days_from_1970(year: i64, month: u32, day: u32) -> i64 {
    // Years that begin in March have their leap day last.
    let year = year - i64::from(month <= 2);
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let of_year = (153 * (i64::from(month) + if month > 2 { -3 } else { 9 }) + 2) / 5 + i64::from(day) - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

/// Year, month and day (`civil_from_days`).
fn civil(days: i64) -> (i64, u32, u32) {
    let days = days + 719_468;
    let (era, of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    (year + era * 400 + i64::from(month <= 2), month as u32, day as u32)
}

/// The day of the year, from 1, and that of the week, from 1 on Monday to 7.
pub(super) fn of_calendar(days: f64) -> [f64; 2] {
    let days = days.floor() as i64;
    let of_year = days - days_from_1970(civil(days).0, 1, 1) + 1;
    // 1970 began on a Thursday.
    [of_year as f64, ((days + 3).rem_euclid(7) + 1) as f64]
}

/// `2024-01-31`, with the time where that isn't midnight.
pub(crate) fn written_day(days: f64) -> String {
    let seconds = (days * 86_400.0).round() as i64;
    let (year, month, day) = civil(seconds.div_euclid(86_400));
    let date = format!("{year:04}-{month:02}-{day:02}");
    let seconds = seconds.rem_euclid(86_400);
    let (hours, minutes) = (seconds / 3600, seconds / 60 % 60);
    match seconds {
        0 => date,
        _ if seconds % 60 == 0 => format!("{date} {hours:02}:{minutes:02}"),
        _ => format!("{date} {hours:02}:{minutes:02}:{:02}", seconds % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_days() {
        // Python: (datetime.date(2024, 2, 29) - datetime.date(1970, 1, 1)).days
        for (text, days) in [
            ("1970-01-01", 0.0),
            ("2024-02-29", 19_782.0),
            ("29.02.2024", 19_782.0),
            ("2/29/2024", 19_782.0),
            ("1900-03-01", -25_508.0),
            ("2024-02-29 12:00", 19_782.5),
            ("2024-02-29T18:00:00Z", 19_782.75),
            ("2024-02-29T18:00:00.000+06:00", 19_782.5),
            ("2024-02-29 18:00-0600", 19_783.0),
        ] {
            assert_eq!(date(text), Some(days), "{text}");
        }
        for wrong in ["2023-02-29", "2024-13-01", "2024-02-29 25:00", "31/01/2024", "2024-01-01 noon", "1-2-3", "1.5"] {
            assert_eq!(date(wrong), None, "{wrong}");
        }
        assert!(is_date("31/01/2024") && !is_date("1.2.3") && !is_date("2024") && !is_date("-2024-01-01"));
    }

    #[test]
    fn days_have_their_places_in_year_and_week() {
        // Python: date.timetuple().tm_yday, date.isoweekday()
        assert_eq!(of_calendar(19_782.9), [60.0, 4.0]);
        assert_eq!(of_calendar(0.0), [1.0, 4.0]);
        assert_eq!(of_calendar(-1.0), [365.0, 3.0]);
        assert_eq!(of_calendar(20_088.0), [366.0, 2.0]);
        for days in -200_000..200_000 {
            let (year, month, day) = civil(days);
            assert_eq!(days_from_1970(year, month, day), days);
        }
        assert_eq!(written_day(19_782.5), "2024-02-29 12:00");
        assert_eq!(written_day(19_782.0), "2024-02-29");
    }
}
