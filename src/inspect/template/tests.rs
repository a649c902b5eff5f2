//! What docker's own program prints, and what no template may do.

use proptest::prelude::*;
use serde_json::Value as Json;

use super::*;
use crate::typed;

/// A document of docker's, and what `docker inspect -f` makes of it: template, exit code, and what
/// is printed (without the last line break) or the error.
fn captured() -> (Json, Vec<(String, i64, String)>) {
    let text = include_str!("../testdata/templates.json");
    let all: Json = serde_json::from_str(text).unwrap();
    let text = |value: &Json| value.as_str().unwrap().to_owned();
    let cases = all["cases"].as_array().unwrap().iter();
    let cases = cases.map(|c| (text(&c[0]), c[1].as_i64().unwrap(), text(&c[2]))).collect();
    (all["document"].clone(), cases)
}

#[test]
fn templates_are_dockers() {
    let (document, cases) = captured();
    assert!(cases.len() > 200);
    let mut wrong = Vec::new();
    for (template, code, wanted) in cases {
        let (got, said) = match Template::parse("", &template) {
            Err(error) => (64, format!("template parsing error: {error}")),
            Ok(template) => match crate::inspect(&template, &document) {
                Ok(text) => (0, text),
                Err(error) => (1, format!("template parsing error: {error}")),
            },
        };
        if (got, &said) != (code, &wanted) {
            wrong.push(format!("{template}\n  docker: {code} {wanted}\n  here:   {got} {said}"));
        }
    }
    assert!(wrong.is_empty(), "{} differ:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn rows_have_methods_and_keep_their_words() {
    let row = Value::from(Record {
        type_name: "*row",
        fields: vec![("Name".into(), "<a>".into())],
        hidden: vec![(
            "Label".into(),
            Value::Function(Function::new(1, |arguments| match arguments {
                [Value::Text(name)] => Ok(format!("label {name}").into()),
                _ => Err("not a text".to_owned()),
            })),
        )],
        escapes_html: true,
    });
    let run = |text: &str| Template::parse("", text).unwrap().execute(&row, Options::default());
    assert_eq!(run("{{.Label \"x\"}}").unwrap(), "label x");
    assert_eq!(run("{{\"y\" | .Label}}").unwrap(), "label y");
    assert_eq!(run("{{json .}} {{json .Name}}").unwrap(), "{\"Name\":\"\\u003ca\\u003e\"} \"<a>\"");
    assert_eq!(
        run("{{.Label}}").unwrap_err().to_string(),
        "template: :1:2: executing \"\" at <.Label>: wrong number of args for Label: want 1 got 0"
    );
    assert!(
        run("{{.Label 3}}").unwrap_err().to_string().ends_with("error calling Label: not a text")
    );
    assert_eq!(
        run("{{.Nome}}").unwrap_err().to_string(),
        "template: :1:2: executing \"\" at <.Nome>: can't evaluate field Nome in type *row"
    );
    let titles = Options { titles: true, ..Options::default() };
    let upper = Template::parse("", "{{upper .Name}}{{truncate .Name 1}}").unwrap();
    assert_eq!(upper.execute(&row, titles).unwrap(), "<a><a>");
}

#[test]
fn what_a_template_mentions_is_known_beforehand() {
    for (text, mentioned) in [
        ("{{.Size}}", true),
        ("{{if .X}}{{upper (print .Size)}}{{end}}", true),
        ("{{define \"a\"}}{{$.Size}}{{end}}", true),
        ("{{(index .X 1).Size}}", true),
        ("{{.}} Size {{.Sizes}} {{\"Size\"}}", false),
    ] {
        assert_eq!(Template::parse("", text).unwrap().mentions("Size"), mentioned, "{text}");
    }
}

#[test]
fn nothing_goes_on_for_ever() {
    let data = Value::from(vec![Value::from("x"); 1000]);
    let run = |text: &str| match Template::parse("", text) {
        Ok(template) => template.execute(&data, Options::default()).map(|text| text.len()),
        Err(error) => Err(error),
    };
    for (text, complaint) in [
        ("{{range 9223372036854775807}}{{end}}", "it does too much"),
        ("{{range $}}{{range $}}{{range $}}.{{end}}{{end}}{{end}}", "it does too much"),
        ("{{define \"a\"}}{{template \"a\"}}{{end}}{{template \"a\"}}", "maximum template depth"),
        (
            "{{define \"a\"}}{{if .}}{{template \"a\" (slice . 1)}}{{template \"a\" (slice . \
             1)}}{{end}}{{end}}{{template \"a\" \"0123456789012345678901234567890\"}}",
            "it does too much",
        ),
        ("{{$x := \"x\"}}{{range 64}}{{$x = print $x $x}}{{end}}", "longer than"),
        (
            "{{$x := \"0123456789\"}}{{range 20}}{{$x = print $x $x}}{{end}}{{range $}}{{$x}}{{end}}",
            "prints more than",
        ),
        ("{{pad \"x\" 9000000000 1}}", "longer than"),
        ("{{pad \"x\" -1 1}}", "negative"),
        ("{{truncate \"x\" -1}}", "out of range"),
    ] {
        let error = run(text).unwrap_err().to_string();
        assert!(error.contains(complaint), "{text}: {error}");
    }
    // A width that Go refuses is bounded here.
    assert!(run("{{printf \"%999999999d\" 1}}").unwrap() < 20_000);
    assert!(run("{{printf \"%.999999999f\" 1.5}}").unwrap() < 20_000);
    let deep =
        |open: &str, close: &str| format!("{}1{}", open.repeat(100_000), close.repeat(100_000));
    for text in [
        format!("{{{{{}}}}}", deep("(", ")")),
        deep("{{if 1}}", "{{end}}"),
        deep("{{if 1}}{{else ", "{{end}}"),
        format!("{{{{if 1}}}}{}{{{{end}}}}", "{{else if 1}}".repeat(100_000)),
        deep("{{define \"a\"}}", "{{end}}"),
        deep("{{block \"a\" .}}", "{{end}}"),
    ] {
        assert!(Template::parse("", &text).is_err());
    }
    assert!(run(&format!("{{{{$.a{}}}}}", ".a".repeat(100_000))).is_err());
}

fn document() -> &'static Json {
    static DOCUMENT: std::sync::LazyLock<Json> = std::sync::LazyLock::new(|| captured().0);
    &DOCUMENT
}

/// Texts that look like templates.
fn text() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        Just("{{"),
        Just("}}"),
        Just("{{-"),
        Just("-}}"),
        Just(" "),
        Just("\n"),
        Just("."),
        Just(".State"),
        Just(".Mounts"),
        Just(".Config.Labels"),
        Just("$"),
        Just("$x"),
        Just(":="),
        Just("="),
        Just("|"),
        Just("("),
        Just(")"),
        Just("if"),
        Just("else"),
        Just("end"),
        Just("range"),
        Just("with"),
        Just("define"),
        Just("template"),
        Just("block"),
        Just("break"),
        Just("continue"),
        Just("nil"),
        Just("true"),
        Just("\"a\""),
        Just("\"\\x"),
        Just("`"),
        Just("'a'"),
        Just("3"),
        Just("-1"),
        Just("1.5"),
        Just("0x"),
        Just("1e9"),
        Just(","),
        Just("/*"),
        Just("*/"),
        Just("é"),
        Just("json"),
        Just("printf"),
        Just("\"%*.*d%q\""),
        Just("index"),
        Just("slice"),
        Just("len"),
        Just("join"),
        Just("eq"),
        Just("and"),
        Just("truncate"),
        Just("pad"),
    ];
    proptest::collection::vec(piece, 0..24).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn no_text_is_the_end(text in prop_oneof![text(), any::<String>()]) {
        if let Ok(template) = Template::parse("", &text) {
            let _ = crate::inspect(&template, document());
            let _ = template.execute(&typed(document()), Options { titles: true, missing_is_error: false });
        }
    }

    #[test]
    fn no_action_is_the_end(text in text()) {
        if let Ok(template) = Template::parse("", &format!("{{{{{text}}}}}")) {
            let _ = crate::inspect(&template, document());
        }
    }

    #[test]
    fn no_verb_is_the_end(format in any::<String>(), flags in "[-+# 0]*[0-9*]{0,3}(\\.[0-9*]{0,3})?", verb in any::<char>()) {
        let values = [Value::Int(-3), Value::from("aé"), Value::Float(1.5), Value::Nil, vec![Value::Bool(true)].into()];
        for value in &values {
            printf::printf(&format!("%{flags}{verb}{format}"), &[Value::Int(7), Value::Int(7), value.clone()]);
        }
    }
}
