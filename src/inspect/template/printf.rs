//! The verbs of `printf`.

use super::value::{Value, source};
use crate::text::{is_printable, quote};

/// The greatest width and precision.
const WIDEST: usize = 10_000;

/// How one verb is to be printed.
#[derive(Clone, Copy, Debug, Default)]
struct Form {
    minus: bool,
    plus: bool,
    sharp: bool,
    space: bool,
    zero: bool,
    width: Option<usize>,
    precision: Option<usize>,
}

/// Returns the text with each verb replaced by an argument.
pub(super) fn printf(format: &str, arguments: &[Value]) -> String {
    let mut out = String::new();
    let mut rest = format;
    let mut used = 0;
    while let Some(at) = rest.find('%') {
        out.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        let mut form = Form::default();
        loop {
            match rest.as_bytes().first() {
                Some(b'-') => form.minus = true,
                Some(b'+') => form.plus = true,
                Some(b'#') => form.sharp = true,
                Some(b' ') => form.space = true,
                Some(b'0') => form.zero = true,
                _ => break,
            }
            rest = &rest[1..];
        }
        form.width = count(&mut rest, arguments, &mut used, "WIDTH", &mut out).map(|width| {
            form.minus |= width < 0;
            clamp(width)
        });
        if let Some(after) = rest.strip_prefix('.') {
            rest = after;
            let given = count(&mut rest, arguments, &mut used, "PREC", &mut out);
            form.precision = Some(given.map_or(0, clamp));
        }
        let Some(verb) = rest.chars().next() else {
            out.push_str("%!(NOVERB)");
            break;
        };
        rest = &rest[verb.len_utf8()..];
        if verb == '%' {
            out.push('%');
            continue;
        }
        match arguments.get(used) {
            None => out.push_str(&format!("%!{verb}(MISSING)")),
            Some(argument) => out.push_str(&print(verb, form, argument)),
        }
        used += 1;
    }
    out.push_str(rest.strip_prefix('%').unwrap_or(rest));
    if let Some(extra) = arguments.get(used..).filter(|extra| !extra.is_empty()) {
        let shown: Vec<String> = extra
            .iter()
            .map(|value| match value {
                Value::Missing | Value::Nil => "<nil>".to_owned(),
                value => format!("{}={}", value.type_name(), value.plain()),
            })
            .collect();
        out.push_str(&format!("%!(EXTRA {})", shown.join(", ")));
    }
    out
}

fn clamp(number: i64) -> usize {
    usize::try_from(number.unsigned_abs()).unwrap_or(WIDEST).min(WIDEST)
}

/// Returns a width or precision: digits, or `*` for the next argument.
fn count(
    rest: &mut &str,
    arguments: &[Value],
    used: &mut usize,
    what: &str,
    out: &mut String,
) -> Option<i64> {
    if let Some(after) = rest.strip_prefix('*') {
        *rest = after;
        let given = arguments.get(*used);
        *used += 1;
        if let Some(Value::Int(number)) = given {
            return Some(*number);
        }
        out.push_str(&format!("%!(BAD{what})"));
        return None;
    }
    let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    let (number, after) = rest.split_at(digits);
    *rest = after;
    if number.is_empty() {
        return None;
    }
    Some(number.parse().unwrap_or(i64::MAX))
}

fn pad(text: &str, form: Form) -> String {
    let length = text.chars().count();
    let Some(missing) = form.width.and_then(|w| w.checked_sub(length)).filter(|n| *n > 0) else {
        return text.to_owned();
    };
    match (form.minus, form.zero) {
        (true, _) => format!("{text}{}", " ".repeat(missing)),
        (false, true) => {
            let sign = usize::from(text.starts_with(['+', '-', ' ']));
            format!("{}{}{}", &text[..sign], "0".repeat(missing), &text[sign..])
        }
        (false, false) => format!("{}{text}", " ".repeat(missing)),
    }
}

fn bad(verb: char, value: &Value) -> String {
    match value {
        Value::Missing | Value::Nil => format!("%!{verb}(<nil>)"),
        value => format!("%!{verb}({}={})", value.type_name(), value.plain()),
    }
}

fn print(verb: char, form: Form, value: &Value) -> String {
    if verb == 'T' {
        return pad(&value.type_name(), form);
    }
    if verb == 'v' && form.sharp {
        return pad(&source(value), form);
    }
    match value {
        Value::Bool(_) if matches!(verb, 't' | 'v') => pad(&value.plain(), form),
        Value::Int(number) => integer(verb, form, *number).unwrap_or_else(|| bad(verb, value)),
        Value::Float(number) => float(verb, form, *number).unwrap_or_else(|| bad(verb, value)),
        Value::Text(text) => words(verb, form, text).unwrap_or_else(|| bad(verb, value)),
        Value::Missing | Value::Nil if verb == 'v' => pad("<nil>", form),
        Value::List(_) | Value::Map(_) | Value::Record(_)
            if matches!(verb, 'v') && form.width.is_none() =>
        {
            value.plain()
        }
        Value::List(_) => {
            let items = value.items().iter().map(|item| print(verb, form, item));
            format!("[{}]", items.collect::<Vec<_>>().join(" "))
        }
        Value::Map(map) => {
            let key = |key: &str| words(verb, form, key).unwrap_or_else(|| bad(verb, &key.into()));
            let members = map.iter().flat_map(|map| map.iter());
            let members = members.map(|(k, v)| format!("{}:{}", key(k), print(verb, form, v)));
            format!("map[{}]", members.collect::<Vec<_>>().join(" "))
        }
        Value::Record(record) => {
            let fields = record.fields.iter().map(|(_, value)| print(verb, form, value));
            format!("{{{}}}", fields.collect::<Vec<_>>().join(" "))
        }
        _ => bad(verb, value),
    }
}

fn integer(verb: char, form: Form, number: i64) -> Option<String> {
    let magnitude = number.unsigned_abs();
    let unicode = || u32::try_from(number).ok().and_then(char::from_u32);
    let digits = match verb {
        'd' | 'v' => magnitude.to_string(),
        'b' => format!("{}{magnitude:b}", if form.sharp { "0b" } else { "" }),
        'o' => format!("{}{magnitude:o}", if form.sharp { "0" } else { "" }),
        'O' => format!("0o{magnitude:o}"),
        'x' => format!("{}{magnitude:x}", if form.sharp { "0x" } else { "" }),
        'X' => format!("{}{magnitude:X}", if form.sharp { "0X" } else { "" }),
        'c' => return Some(pad(&unicode().unwrap_or('\u{fffd}').to_string(), form)),
        'q' => {
            let c = unicode().unwrap_or('\u{fffd}');
            let shown = quote(&c.to_string());
            let inner = shown[1..shown.len() - 1].replace("\\\"", "\"").replace('\'', "\\'");
            return Some(pad(&format!("'{inner}'"), form));
        }
        'U' => {
            let shown = unicode().filter(|c| form.sharp && is_printable(*c));
            let tail = shown.map(|c| format!(" '{c}'")).unwrap_or_default();
            return Some(pad(&format!("U+{number:04X}{tail}"), form));
        }
        _ => return None,
    };
    let digits = match form.precision {
        Some(least) => format!("{digits:0>least$}"),
        None => digits,
    };
    // A precision says how many digits there are; zeros that fill the width then are none.
    let form = Form { zero: form.zero && form.precision.is_none(), ..form };
    Some(pad(&format!("{}{digits}", sign(number < 0, form)), form))
}

fn sign(negative: bool, form: Form) -> &'static str {
    match (negative, form.plus, form.space) {
        (true, ..) => "-",
        (false, true, _) => "+",
        (false, false, true) => " ",
        (false, false, false) => "",
    }
}

fn float(verb: char, form: Form, number: f64) -> Option<String> {
    let magnitude = number.abs();
    let digits = match verb {
        'f' | 'F' => format!("{magnitude:.*}", form.precision.unwrap_or(6)),
        'e' | 'E' => {
            let text = exponential(magnitude, form.precision.unwrap_or(6));
            if verb == 'E' { text.to_uppercase() } else { text }
        }
        'g' | 'v' => general(magnitude, form.precision),
        'G' => general(magnitude, form.precision).to_uppercase(),
        _ => return None,
    };
    Some(pad(&format!("{}{digits}", sign(number.is_sign_negative(), form)), form))
}

/// Returns `1.5e+03`: at least two digits of exponent, with its sign.
fn exponential(number: f64, precision: usize) -> String {
    go_exponent(&format!("{number:.precision$e}"))
}

fn go_exponent(text: &str) -> String {
    let Some((mantissa, exponent)) = text.split_once('e') else { return text.to_owned() };
    let (sign, digits) = match exponent.strip_prefix('-') {
        Some(digits) => ('-', digits),
        None => ('+', exponent),
    };
    format!("{mantissa}e{sign}{digits:0>2}")
}

/// Returns a number as `%g` prints it: the fewest digits that mean it, with an exponent when that is
/// below -4 or from 21 on (or from the precision on).
pub(super) fn general(number: f64, precision: Option<usize>) -> String {
    if !number.is_finite() {
        return if number.is_nan() {
            "NaN"
        } else if number > 0.0 {
            "+Inf"
        } else {
            "-Inf"
        }
        .to_owned();
    }
    let scientific = match precision {
        Some(digits) => format!("{number:.*e}", digits.max(1) - 1),
        None => format!("{number:e}"),
    };
    let Some((mantissa, exponent)) = scientific.split_once('e') else { return scientific };
    let power: i64 = exponent.parse().unwrap_or(0);
    let trimmed = |text: &str| match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text.to_owned(),
    };
    let limit = precision.map_or(21, |digits| i64::try_from(digits.max(1)).unwrap_or(21));
    if power < -4 || power >= limit {
        return go_exponent(&format!("{}e{exponent}", trimmed(mantissa)));
    }
    match precision {
        None => number.to_string(),
        Some(_) => {
            let decimals = usize::try_from(limit - 1 - power).unwrap_or(0);
            trimmed(&format!("{number:.decimals$}"))
        }
    }
}

fn words(verb: char, form: Form, text: &str) -> Option<String> {
    let cut: String = match form.precision {
        Some(most) if matches!(verb, 's' | 'v' | 'q') => text.chars().take(most).collect(),
        _ => text.to_owned(),
    };
    let shown = match verb {
        's' | 'v' => cut,
        'q' if form.sharp
            && !cut.contains('`')
            && cut.chars().all(|c| c == '\t' || is_printable(c)) =>
        {
            format!("`{cut}`")
        }
        'q' => quote(&cut),
        'x' => hex(&cut, form.space),
        'X' => hex(&cut, form.space).to_uppercase(),
        _ => return None,
    };
    Some(pad(&shown, form))
}

fn hex(text: &str, spaced: bool) -> String {
    let bytes: Vec<String> = text.bytes().map(|byte| format!("{byte:02x}")).collect();
    bytes.join(if spaced { " " } else { "" })
}
