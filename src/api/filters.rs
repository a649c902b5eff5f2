//! `filters=`: a document of conditions, in the form of today or the one of old.

use serde_json::Value;
use wharf_model::Filters;

use crate::answer::Refusal;

/// Reads `{"label":["a=b"]}` or `{"label":{"a=b":true}}`.
///
/// # Errors
/// When it is neither.
pub(crate) fn parse(text: &str) -> Result<Filters, Refusal> {
    let invalid = |why: &str| Refusal::invalid(format!("invalid filter: {why}"));
    let document: Value =
        serde_json::from_str(text).map_err(|cause| invalid(&cause.to_string()))?;
    let Value::Object(keys) = document else {
        return Err(invalid("it must be an object of lists"));
    };
    let mut filters = Filters::default();
    for (key, values) in keys {
        match values {
            Value::Array(values) => {
                for value in values {
                    match value {
                        Value::String(value) => filters.insert(&key, &value),
                        _ => return Err(invalid(&format!("the values of {key:?} must be text"))),
                    }
                }
            }
            Value::Object(values) => {
                for (value, on) in values {
                    match on {
                        Value::Bool(true) => filters.insert(&key, &value),
                        Value::Bool(false) => {}
                        _ => {
                            let why = format!("the values of {key:?} must be true or false");
                            return Err(invalid(&why));
                        }
                    }
                }
            }
            _ => return Err(invalid(&format!("{key:?} must have a list"))),
        }
    }
    Ok(filters)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_are_read() {
        let new = parse(r#"{"label":["a=b","c"],"status":["exited"]}"#).unwrap();
        assert_eq!(new.values("label"), ["a=b", "c"]);
        let old = parse(r#"{"label":{"a=b":true,"c":true,"d":false},"status":{"exited":true}}"#);
        assert_eq!(old.unwrap(), new);
        assert!(parse("{}").unwrap().is_empty());
        for bad in ["", "[]", "1", "{\"a\":1}", "{\"a\":[1]}", "{\"a\":{\"b\":1}}", "{"] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
