//! `/docs`: the document for people. One page, made here, which needs no script and nothing from elsewhere.

use askama::Template;
use axum::{
    extract::Request,
    response::{IntoResponse, Response},
};
use http::{HeaderName, HeaderValue, header};
use serde_json::Value;

use super::{document, problem::Problem};

/// Nothing but our own style sheet.
const POLICY: &str = "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; \
    frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'";
/// The console's look, and what this page has beside.
const STYLE: &str = concat!(
    include_str!("../console/assets/console.css"),
    include_str!("docs/docs.css")
);

#[derive(Debug, Template)]
#[template(path = "docs.html")]
struct Page {
    about: Vec<String>,
    groups: Vec<Group>,
    schemas: Vec<Schema>,
}

#[derive(Debug)]
struct Group {
    name: String,
    about: String,
    operations: Vec<Operation>,
}

#[derive(Debug)]
struct Operation {
    id: String,
    method: String,
    path: String,
    summary: String,
    about: String,
    scope: String,
    parameters: Vec<Field>,
    body: Option<Type>,
    example: Option<String>,
    answers: Vec<Field>,
}

#[derive(Debug)]
struct Schema {
    name: String,
    about: String,
    /// What it is, if it is no object.
    kind: Option<Type>,
    fields: Vec<Field>,
}

/// A line of a table.
#[derive(Debug)]
struct Field {
    name: String,
    place: String,
    is_required: bool,
    kind: Type,
    about: String,
}

/// A type in words, with the schema that tells more.
#[derive(Debug, Default)]
struct Type {
    words: String,
    link: Option<String>,
}

impl Type {
    fn of(schema: &Value) -> Self {
        if let Some(place) = schema["$ref"].as_str() {
            let name = place.rsplit('/').next().unwrap_or_default().to_owned();
            return Self {
                words: name.clone(),
                link: Some(name),
            };
        }
        let any = schema["oneOf"].as_array().or(schema["allOf"].as_array());
        if let Some(first) = any.and_then(|any| any.iter().find(|one| one["type"] != "null")) {
            return Self::of(first).or_null(schema["oneOf"].is_array());
        }
        if let Some(names) = schema["enum"].as_array() {
            let names: Vec<_> = names.iter().filter_map(Value::as_str).collect();
            return Self::plain(names.join(", "));
        }
        let types = &schema["type"];
        let kind = types
            .as_str()
            .or_else(|| types[0].as_str())
            .unwrap_or("anything");
        let is_null = types
            .as_array()
            .is_some_and(|types| types.iter().any(|kind| kind == "null"));
        if kind == "array" {
            let items = Self::of(&schema["items"]);
            let words = format!("list of {}", items.words);
            return Self { words, ..items }.or_null(is_null);
        }
        let format = schema["format"]
            .as_str()
            .filter(|format| !format.starts_with("int"));
        let words = format.unwrap_or(kind).to_owned() + &bounds(schema);
        Self::plain(words).or_null(is_null)
    }

    fn plain(words: String) -> Self {
        Self { words, link: None }
    }

    fn or_null(mut self, is_null: bool) -> Self {
        if is_null {
            self.words += " or null";
        }
        self
    }
}

fn bounds(schema: &Value) -> String {
    let bound = |name: &str| schema.get(name).map(ToString::to_string);
    match (bound("minimum"), bound("maximum"), bound("maxLength")) {
        (Some(least), Some(most), _) => format!(", {least} to {most}"),
        (_, _, Some(most)) => format!(", {most} characters at most"),
        _ => String::new(),
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn members(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flatten()
}

impl Page {
    fn of(document: &Value) -> Self {
        let about = text(&document["info"]["description"]);
        let tags = document["tags"].as_array().into_iter().flatten();
        Self {
            about: about.split("\n\n").map(str::to_owned).collect(),
            groups: tags.map(|tag| Group::of(document, tag)).collect(),
            schemas: members(&document["components"]["schemas"])
                .map(|(name, schema)| Schema::of(name, schema))
                .collect(),
        }
    }
}

impl Group {
    fn of(document: &Value, tag: &Value) -> Self {
        let mut operations = Vec::new();
        for (path, item) in members(&document["paths"]) {
            for (method, operation) in members(item) {
                if operation["tags"][0] == tag["name"] {
                    operations.push(Operation::of(method, path, operation));
                }
            }
        }
        Self {
            name: text(&tag["name"]),
            about: text(&tag["description"]),
            operations,
        }
    }
}

impl Operation {
    fn of(method: &str, path: &str, operation: &Value) -> Self {
        let body = &operation["requestBody"]["content"]["application/json"];
        let parameters = operation["parameters"].as_array().into_iter().flatten();
        Self {
            id: text(&operation["operationId"]),
            method: method.to_uppercase(),
            path: path.to_owned(),
            summary: text(&operation["summary"]),
            about: text(&operation["description"]),
            scope: text(&operation["security"][0]["api_key"][0]),
            parameters: parameters
                .map(|parameter| Field {
                    name: text(&parameter["name"]),
                    place: text(&parameter["in"]),
                    is_required: parameter["required"] == true,
                    kind: Type::of(&parameter["schema"]),
                    about: text(&parameter["description"]),
                })
                .collect(),
            body: body.get("schema").map(Type::of),
            example: body
                .get("example")
                .and_then(|example| serde_json::to_string_pretty(example).ok()),
            answers: members(&operation["responses"])
                .map(|(status, response)| answer(status, response))
                .collect(),
        }
    }
}

fn answer(status: &str, response: &Value) -> Field {
    let content = members(&response["content"]).next();
    Field {
        name: status.to_owned(),
        place: String::new(),
        is_required: false,
        kind: content.map_or_else(Type::default, |(_, content)| Type::of(&content["schema"])),
        about: text(&response["description"]),
    }
}

impl Schema {
    fn of(name: &str, schema: &Value) -> Self {
        let mut fields = Vec::new();
        let parts = schema["allOf"].as_array().into_iter().flatten();
        for part in parts.chain([schema]) {
            let required = |name: &str| {
                let mut names = part["required"].as_array().into_iter().flatten();
                names.any(|known| known == name)
            };
            if part["$ref"].is_string() {
                fields.push(Field {
                    name: "…".to_owned(),
                    place: String::new(),
                    is_required: false,
                    kind: Type::of(part),
                    about: "All its fields.".to_owned(),
                });
            }
            for (name, property) in members(&part["properties"]) {
                fields.push(Field {
                    name: name.clone(),
                    place: String::new(),
                    is_required: required(name),
                    kind: Type::of(property),
                    about: text(&property["description"]),
                });
            }
        }
        Self {
            name: name.to_owned(),
            about: text(&schema["description"]),
            kind: fields.is_empty().then(|| Type::of(schema)),
            fields,
        }
    }
}

/// The document, for people.
#[utoipa::path(
    get,
    path = "/docs",
    tag = "service",
    responses((status = 200, body = String, content_type = "text/html"))
)]
pub(super) async fn show(request: Request) -> Result<Response, Problem> {
    let page = Page::of(document::shown(&request));
    let html = page.render().map_err(Problem::internal)?;
    Ok(answered("text/html; charset=utf-8", html))
}

/// How it looks.
#[utoipa::path(
    get,
    path = "/docs/style.css",
    tag = "service",
    responses((status = 200, body = String, content_type = "text/css"))
)]
pub(super) async fn style() -> Response {
    answered("text/css; charset=utf-8", STYLE)
}

fn answered(content_type: &'static str, body: impl IntoResponse) -> Response {
    let headers = [
        (header::CONTENT_TYPE, content_type),
        (header::CACHE_CONTROL, "no-cache"),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::REFERRER_POLICY, "same-origin"),
        (
            HeaderName::from_static("cross-origin-opener-policy"),
            "same-origin",
        ),
        (
            HeaderName::from_static("cross-origin-resource-policy"),
            "same-origin",
        ),
    ];
    let headers = headers.map(|(name, value)| (name, HeaderValue::from_static(value)));
    (headers, body).into_response()
}
