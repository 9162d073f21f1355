//! Escaping and number formats: the same figure reads the same in a table, a plot and a sentence.

use serde::Serialize;

use crate::error::misleads;
use crate::network::Block;
use crate::train::Metric;

/// A space that doesn't break, before units.
pub const NARROW: char = '\u{202f}';
const MINUS: char = '\u{2212}';

/// Text safe between tags and inside quoted attributes. Characters that aren't seen ([`misleads`]) become spaces.
pub fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c if misleads(c) => out.push(' '),
            c => out.push(c),
        }
    }
    out
}

/// At most `limit` characters in one line. The ellipsis stands in the middle: what tells two long names apart is often their end.
pub fn shorten(text: &str, limit: usize) -> String {
    let text: String = text.trim().chars().map(|c| if misleads(c) { ' ' } else { c }).collect();
    let length = text.chars().count();
    if length <= limit {
        return text;
    }
    let tail = limit.saturating_sub(1) * 2 / 5;
    let head = limit.saturating_sub(1) - tail;
    let first: String = text.chars().take(head).collect();
    let last: String = text.chars().skip(length - tail).collect();
    format!("{}…{}", first.trim_end(), last.trim_start())
}

/// Four significant digits, for tables; very large and very small ones as `1.234×10⁻⁶`.
pub fn number(value: f64) -> String {
    significant(value, 4)
}

/// A value as it stands in the data: whole numbers whole, others as [`number`]; NaN is a cell that was missing.
pub fn datum(value: f64) -> String {
    if value.is_nan() {
        return "missing".into();
    }
    match value.abs() {
        // Four digits may be a year.
        size if value.fract() == 0.0 && size < 1e4 => signed(&format!("{value:.0}")),
        // And ten seconds since 1970.
        size if value.fract() == 0.0 && size < 1e12 => signed(&grouped(&format!("{value:.0}"))),
        _ => number(value),
    }
}

/// How to show values like these, such as a column's: as [`datum`] does, or where its four digits wouldn't tell them apart (a depth around 10⁷
/// with a spread of 1) to the third digit of their spread.
pub fn data_like(values: impl IntoIterator<Item = f64>) -> impl Fn(f64) -> String {
    let (mut low, mut high, mut whole) = (f64::INFINITY, f64::NEG_INFINITY, true);
    for value in values.into_iter().filter(|value| value.is_finite()) {
        (low, high) = (low.min(value), high.max(value));
        whole &= value.fract() == 0.0;
    }
    let (spread, largest) = (high - low, low.abs().max(high.abs()));
    let place = |x: f64| x.log10().floor() as i32;
    let far = spread > 0.0 && spread.is_finite() && !whole && largest >= 100.0 * spread;
    // A double has fifteen digits.
    let (first, last) = (place(largest), (place(spread) - 2).max(place(largest) - 14));
    move |value| match first {
        _ if !far || !value.is_finite() => datum(value),
        -4..15 => signed(&grouped(&format!("{value:.*}", (-last).max(0) as usize))),
        _ => significant(value, first - last + 1),
    }
}

/// What a person would call the data: the file's name without folder and extension.
pub fn source_name(source: &str) -> String {
    let path = source.strip_prefix("idx:").unwrap_or(source);
    let stem = std::path::Path::new(path).file_stem().map(|stem| stem.to_string_lossy().into_owned());
    shorten(&stem.unwrap_or_else(|| path.to_owned()), 60)
}

/// `1 component`, `3 components`.
pub fn many(number: usize, what: &str) -> String {
    format!("{} {what}{}", count(number), if number == 1 { "" } else { "s" })
}

/// Three significant digits, for plots and headlines.
pub fn short(value: f64) -> String {
    significant(value, 3)
}

fn significant(value: f64, digits: i32) -> String {
    if value == 0.0 || !value.is_finite() {
        return if value == 0.0 { "0".into() } else { value.to_string() };
    }
    let exponent = value.abs().log10().floor() as i32;
    if !(-4..6).contains(&exponent) {
        let (mantissa, exponent) = scientific(value, digits as usize - 1);
        return format!("{}×10{}", signed(&mantissa), superscript(exponent));
    }
    signed(&grouped(&format!("{value:.*}", (digits - 1 - exponent).max(0) as usize)))
}

/// A value with its standard error, both to the error's second digit: `44.3 ± 1.6`; without one where that isn't known.
pub fn with_spread(value: f64, se: f64) -> String {
    if !(se.is_finite() && value.is_finite() && se > 0.0) {
        return short(value);
    }
    // Beyond four decimals (of an error of a few ten thousandths) nobody wants to know.
    let digits = (1 - se.log10().floor() as i32).clamp(0, 4) as usize;
    // What rounds to zero has no sign.
    let rounded = |x: f64| if x.abs() < 0.5 * 10f64.powi(-(digits as i32)) { 0.0 } else { x };
    let show = |x: f64| signed(&grouped(&format!("{:.digits$}", rounded(x))));
    // The error is above zero, and not shown as if it were zero.
    let se = if se < 0.5e-4 { short(se) } else { show(se) };
    format!("{} ± {se}", show(value))
}

/// A share as a percentage: one decimal, two where one would round to 100 without being it; what would round to 0 without being it
/// is said to be small.
pub fn percent(share: f64) -> String {
    let value = share * 100.0;
    if value > 0.0 && value < 0.05 {
        return format!("<{NARROW}0.1{NARROW}%");
    }
    let digits = if (99.95..100.0).contains(&value) { 2 } else { 1 };
    // What rounds to zero has no sign.
    let value = if value.abs() < 0.05 { 0.0 } else { value };
    format!("{}{NARROW}%", signed(&format!("{value:.digits$}")))
}

/// A whole number with thousands separated.
pub fn count(value: usize) -> String {
    grouped(&value.to_string())
}

/// A value of the metric, in the metric's own way.
pub fn metric(kind: Metric, value: f64) -> String {
    match kind {
        Metric::Accuracy | Metric::BalancedAccuracy => percent(value),
        Metric::Mae => short(value),
    }
}

/// The metric's name for axes and labels.
pub fn metric_name(kind: Metric) -> &'static str {
    match kind {
        Metric::Accuracy => "accuracy",
        Metric::BalancedAccuracy => "balanced accuracy",
        Metric::Mae => "mean absolute error",
    }
}

/// A tick's label: as many decimals as the distance between two ticks needs.
pub fn tick(value: f64, step: f64) -> String {
    let value = if value.abs() < step * 1e-6 { 0.0 } else { value };
    if value == 0.0 && step < 1e-5 {
        return "0".to_owned();
    }
    // Two digits, unless neighbours would look alike.
    let two = value == 0.0 || step * 1.0001 >= 10f64.powi(value.abs().log10().floor() as i32 - 1);
    if value != 0.0 && two && !(1e-4..1e6).contains(&value.abs()) {
        let (mantissa, exponent) = scientific(value, 1);
        let mantissa = mantissa.trim_end_matches('0').trim_end_matches('.');
        return match mantissa {
            "1" => format!("10{}", superscript(exponent)),
            _ => format!("{}×10{}", signed(mantissa), superscript(exponent)),
        };
    }
    let digits = (-(step * 1.0001).log10().floor()).clamp(0.0, 9.0) as usize;
    signed(&grouped(&format!("{value:.digits$}")))
}

fn scientific(value: f64, digits: usize) -> (String, i32) {
    let text = format!("{value:.digits$e}");
    let (mantissa, exponent) = text.split_once('e').expect("{:e} always writes an exponent");
    (mantissa.to_owned(), exponent.parse().expect("{:e} writes a whole exponent"))
}

fn superscript(exponent: i32) -> String {
    const DIGITS: [char; 10] = ['⁰', '¹', '²', '³', '⁴', '⁵', '⁶', '⁷', '⁸', '⁹'];
    let raised = |c: char| c.to_digit(10).map_or('⁻', |digit| DIGITS[digit as usize]);
    exponent.to_string().chars().map(raised).collect()
}

/// A number as Rust writes it, with the sign that the others have.
pub fn signed(text: &str) -> String {
    text.strip_prefix('-').map_or_else(|| text.to_owned(), |rest| format!("{MINUS}{rest}"))
}

fn grouped(text: &str) -> String {
    let (whole, rest) = text.find('.').map_or((text, ""), |at| text.split_at(at));
    let (sign, digits) = whole.strip_prefix('-').map_or(("", whole), |digits| ("-", digits));
    let mut out = String::from(sign);
    for (i, c) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(c);
    }
    out + rest
}

/// A convolution with its pooling, in words.
pub fn block(block: &Block) -> String {
    let sizes: Vec<String> = block.kernel.iter().map(usize::to_string).collect();
    let pool = block.pool.map_or_else(String::new, |pool| format!(", pooled by {}/{}", pool.kernel, pool.stride));
    format!("convolution {}:{}/{}{pool}", block.filters, sizes.join("×"), block.stride)
}

/// A setting's name as it is written on the command line and in files.
pub fn serde_name(value: &impl Serialize) -> String {
    serde_json::to_value(value).ok().and_then(|v| v.as_str().map(str::to_owned)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers() {
        let cases = [
            (0.0, "0"),
            (1.0, "1.000"),
            (0.12345, "0.1235"),
            (-0.5, "−0.5000"),
            (12345.6, "12,346"),
            (1.5e-7, "1.500×10⁻⁷"),
            (2e12, "2.000×10¹²"),
        ];
        for (value, text) in cases {
            assert_eq!(number(value), text);
        }
        for (values, texts) in [
            (vec![1e7 + 0.976243, 1e7 - 1.078], vec!["10,000,000.98", "9,999,998.92"]),
            (vec![1_700_011_609.0, 1_700_010_188.0], vec!["1,700,011,609", "1,700,010,188"]),
            (vec![1.70001e9 + 0.25, 1.7e9], vec!["1,700,010,000", "1,700,000,000"]),
            (vec![-250.0123, -250.0144, f64::NAN], vec!["−250.01230", "−250.01440", "missing"]),
            (vec![0.5, 1.25], vec!["0.5000", "1.250"]),
            (vec![3.25, 3.25], vec!["3.250", "3.250"]),
            (vec![1e-9, 1.00002e-9], vec!["1.0000000×10⁻⁹", "1.0000200×10⁻⁹"]),
            (vec![], vec![]),
        ] {
            let show = data_like(values.iter().copied());
            assert_eq!(values.iter().map(|&value| show(value)).collect::<Vec<_>>(), texts);
        }
        let spreads = [
            (44.2561, 1.5623, "44.3 ± 1.6"),
            (-0.000822, 0.00142, "−0.0008 ± 0.0014"),
            (0.488, 0.0338, "0.488 ± 0.034"),
            (1.0, 3.21e-5, "1.0000 ± 3.21×10⁻⁵"),
            (12345.6, 230.0, "12,346 ± 230"),
            (-1e-7, 1e-6, "0.0000 ± 1.00×10⁻⁶"),
            (0.5, f64::INFINITY, "0.500"),
        ];
        for (value, se, text) in spreads {
            assert_eq!(with_spread(value, se), text);
        }
        assert_eq!(percent(0.9996), "99.96\u{202f}%");
        assert_eq!(percent(1.0), "100.0\u{202f}%");
        assert_eq!(percent(-0.0004), "0.0\u{202f}%");
        assert_eq!(percent(0.0004), "<\u{202f}0.1\u{202f}%");
        assert_eq!(percent(0.0), "0.0\u{202f}%");
        assert_eq!(count(1234567), "1,234,567");
        assert_eq!(tick(0.30000000000000004, 0.1), "0.3");
        assert_eq!(tick(0.05, 0.05), "0.05");
        assert_eq!(tick(-20.0, 10.0), "−20");
        assert_eq!(tick(1e-5, 1e-5), "10⁻⁵");
        assert_eq!(tick(0.0, 2e-13), "0");
        assert_eq!(tick(2000.0, 1000.0), "2,000");
    }

    #[test]
    fn text_is_safe_and_short() {
        assert_eq!(escape("<a href='x'>&\"\n"), "&lt;a href=&#39;x&#39;&gt;&amp;&quot; ");
        assert_eq!(shorten("abcdef", 6), "abcdef");
        assert_eq!(shorten("a\nb", 6), "a b");
        assert_eq!(shorten("äbcdefg", 4), "äb…g");
        assert_eq!(shorten("gene number 12", 12), "gene nu…r 12");
    }
}
