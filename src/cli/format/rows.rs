//! Lists by template: one row for each object, and titles above when it is a table.
//!
//! Every list of docker's is printed by a template, the usual tables too. Here a verb gives its rows
//! as records of fields and says which title each field has.

use wharf_inspect::template::{Function, Options, Record, Template, TemplateError, Value};

use super::{table, text};
use crate::call::Failure;

/// Returns the failure of a list whose template is wrong.
#[expect(clippy::needless_pass_by_value, reason = "as map_err gives it")]
pub(crate) fn template_failed(cause: TemplateError) -> Failure {
    Failure::new(1, format!("template parsing error: {cause}"))
}

/// What begins a format that is a table.
const TABLE: &str = "table";

/// How rows are printed.
#[derive(Clone, Debug)]
pub(crate) struct Rows {
    template: Template,
    is_table: bool,
}

impl Rows {
    /// Returns what `--format` asks for: `json`, `table TEMPLATE` or a template.
    ///
    /// # Errors
    /// When it is no template.
    pub(crate) fn new(format: &str) -> Result<Self, TemplateError> {
        let is_table = format.starts_with(TABLE);
        let text = match format {
            "json" => "{{json .}}",
            format => format.strip_prefix(TABLE).unwrap_or(format),
        };
        let text = text.trim_matches(' ').replace("\\t", "\t").replace("\\n", "\n");
        Ok(Self { template: Template::parse("", &text)?, is_table })
    }

    /// Returns whether a field is asked for.
    pub(crate) fn mentions(&self, field: &str) -> bool {
        self.template.mentions(field)
    }

    /// Returns the rows as text. `titles` are those of the fields.
    ///
    /// # Errors
    /// When the template asks for a field that isn't there, or a function fails.
    pub(crate) fn print(
        &self,
        rows: impl IntoIterator<Item = Record>,
        titles: &[(&str, &str)],
    ) -> Result<String, TemplateError> {
        let mut out = String::new();
        if self.is_table {
            let options = Options { titles: true, ..Options::default() };
            out.push_str(&self.template.execute(&header(titles), options)?);
            out.push('\n');
        }
        for mut row in rows {
            if self.is_table {
                // A table is for people: what an object is called must not spoil it.
                for (_, value) in &mut row.fields {
                    if let Value::Text(field) = value {
                        *value = text::clean(field).into();
                    }
                }
            }
            out.push_str(&self.template.execute(&row.into(), Options::default())?);
            out.push('\n');
        }
        Ok(if self.is_table { table::align(&out, table::LIST) } else { out })
    }
}

/// Returns the record whose fields are the titles; a label's title is the end of its name.
fn header(titles: &[(&str, &str)]) -> Value {
    let label = Function::new(1, |arguments| {
        let name = arguments.first().and_then(Value::as_text).unwrap_or_default();
        let last = name.rsplit('.').next().unwrap_or_default();
        Ok(last.replace(['-', '_'], " ").into())
    });
    Value::from(Record {
        type_name: "table",
        fields: titles
            .iter()
            .map(|(field, title)| ((*field).to_owned(), (*title).into()))
            .collect(),
        hidden: vec![("Label".to_owned(), Value::Function(label))],
        escapes_html: false,
    })
}

/// Returns a row of these fields.
pub(crate) fn row(type_name: &'static str, fields: Vec<(&str, String)>) -> Record {
    Record {
        type_name,
        fields: fields.into_iter().map(|(name, text)| (name.to_owned(), text.into())).collect(),
        hidden: Vec::new(),
        escapes_html: true,
    }
}

/// Returns the function of a template that gives a label's value.
pub(crate) fn label(labels: std::collections::BTreeMap<String, String>) -> Value {
    Value::Function(Function::new(1, move |arguments| {
        let name = arguments.first().and_then(Value::as_text).unwrap_or_default();
        Ok(labels.get(name).map_or("", String::as_str).into())
    }))
}

/// Returns a time as docker's lists write it.
pub(crate) fn time(at: chrono::DateTime<chrono::Utc>) -> String {
    let local = at.with_timezone(&chrono::Local);
    let zone = local.format("%z").to_string();
    let name = if zone == "+0000" { "UTC" } else { &zone };
    format!("{} {zone} {name}", local.format("%Y-%m-%d %H:%M:%S"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TITLES: &[(&str, &str)] = &[("ID", "CONTAINER ID"), ("Name", "NAME")];

    fn rows(format: &str) -> Result<String, TemplateError> {
        let row =
            |id: &str, name: &str| row("*row", vec![("ID", id.into()), ("Name", name.into())]);
        Rows::new(format)?.print([row("1", "a\tb"), row("2", "<c>")], TITLES)
    }

    #[test]
    fn formats_are_dockers() {
        assert_eq!(rows("{{.Name}}").unwrap(), "a\tb\n<c>\n");
        assert_eq!(rows("{{.ID}}\\t{{.Name}}\\n").unwrap(), "1\ta\tb\n\n2\t<c>\n\n");
        assert_eq!(
            rows("json").unwrap(),
            "{\"ID\":\"1\",\"Name\":\"a\\tb\"}\n{\"ID\":\"2\",\"Name\":\"\\u003cc\\u003e\"}\n"
        );
        assert_eq!(
            rows("table {{upper .Name}}\t{{.ID}}\t{{.Label \"com.x-y\"}}").unwrap_err().to_string(),
            "template: :1:26: executing \"\" at <.Label>: can't evaluate field Label in type *row"
        );
        assert_eq!(
            rows("table {{upper .Name}}\\t{{.ID}}").unwrap(),
            "NAME      CONTAINER ID\nA B       1\n<C>       2\n"
        );
        assert_eq!(rows("tablex {{.ID}}").unwrap(), "x CONTAINER ID\nx 1\nx 2\n");
        assert!(rows("{{").is_err() && rows("table {{.Foo}}").is_err());
    }
}
