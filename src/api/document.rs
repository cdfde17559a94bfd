//! `/openapi.json`: what can be asked for, and what is answered.
//!
//! A handler says its path, parameters, body and answers ([`utoipa::path`]), and the router is built from what handlers
//! say (`routes!`), so neither has a route that the other has not. What all routes have in common is not the handlers'
//! doing, and is added here by rule: the gate's key and scope, what our extractors refuse, the request's id, and the one
//! shape of every problem, with the kinds that a status can mean.

use std::sync::Arc;

use axum::{
    extract::Request,
    response::{IntoResponse, Response},
};
use http::{HeaderValue, StatusCode, header};
use serde_json::{Value, json};
use utoipa::openapi::{OpenApi, security::SecurityRequirement};

use super::problem::{Kind, Rendered};

mod example;

/// The name of an API key among the security schemes.
const API_KEY: &str = "api_key";
/// Of the methods that we have.
const METHODS: [&str; 4] = ["get", "post", "patch", "delete"];

/// What is not of one route.
#[derive(utoipa::OpenApi)]
#[openapi(
    info(
        title = "Syncline",
        version = "1",
        description = "Keeps a product's database in step with its customers' systems.\n\n\
            Send an API key as `Authorization: Bearer …`. A route says which scope its key needs; a key with the scope \
            `admin` has every scope. A key that is bound to an organization sees nothing of another: it is answered 404, \
            as if there were no such thing.\n\n\
            Every answer of 400 or more is a problem (RFC 9457), whose `type` says what kind it is, once and for all. \
            Every answer has the header `X-Request-Id`, which our log knows it by.\n\n\
            Pages: pass `next` of the answer as `cursor` to get the next one; `null` means that there is none."
    ),
    components(schemas(Rendered<'_>)),
    tags(
        (name = "linking", description = "Link a customer's account, renew its credentials, delete it."),
        (name = "accounts", description = "Linked accounts, how their sync stands, and their records."),
        (name = "events", description = "What changed, in one order, and where to have it sent to."),
        (name = "jobs", description = "What became of what was asked for."),
        (name = "operations", description = "What happens inside, why, and how to put it right: all that the console shows and does. \
            For keys that are bound to no organization; the scope `operate` includes `read`, and `admin` both."),
        (name = "webhooks", description = "Where the integration provider reports to."),
        (name = "service", description = "For machines that look after the service."),
    )
)]
struct Base;

/// A document without routes.
pub(super) fn base() -> OpenApi {
    <Base as utoipa::OpenApi>::openapi()
}

/// Says that all routes so far need a key with a scope.
pub(super) fn demand(document: &mut OpenApi, scope: &str) {
    for item in document.paths.paths.values_mut() {
        let operations = [
            &mut item.get,
            &mut item.post,
            &mut item.patch,
            &mut item.delete,
        ];
        for operation in operations.into_iter().flatten() {
            let requirement = SecurityRequirement::new(API_KEY, [scope]);
            operation.security = Some(vec![requirement]);
        }
    }
}

/// The whole, as it is answered.
#[derive(Debug, Clone)]
pub(super) struct Document(Arc<Value>);

impl Document {
    /// Completes what the routes say.
    pub(super) fn of(routes: &OpenApi) -> Self {
        let mut document = serde_json::to_value(routes).unwrap_or_default();
        for (path, item) in members(&mut document["paths"]) {
            for (method, operation) in members(item) {
                if METHODS.contains(&method.as_str()) {
                    operation["operationId"] = operation_id(method, path).into();
                    complete(operation);
                }
            }
        }
        document["components"]["securitySchemes"] = json!({
            API_KEY: {
                "type": "http", "scheme": "bearer",
                "description": "An API key, as `syncline keys create` shows it once.",
            },
            "webhook_signature": {
                "type": "apiKey", "in": "header", "name": merge_client::webhook::HEADER,
                "description": "HMAC-SHA256 of the raw body, as URL-safe base64.",
            },
        });
        put_examples(&mut document);
        for kind in Kind::ALL {
            let name = problem_name(kind.status());
            document["components"]["schemas"][name] = problem_schema(kind.status());
        }
        Self(Arc::new(document))
    }
}

/// Shows of each body the least that is valid.
fn put_examples(document: &mut Value) {
    let read = document.clone();
    for (_, item) in members(&mut document["paths"]) {
        for (_, operation) in members(item) {
            let Some(body) = operation.pointer_mut("/requestBody/content/application~1json") else {
                continue;
            };
            if body["schema"]["$ref"].is_string() {
                body["example"] = example::of(&read, &body["schema"], "");
            }
        }
    }
}

fn members(value: &mut Value) -> impl Iterator<Item = (&String, &mut Value)> {
    value.as_object_mut().into_iter().flatten()
}

/// Unique, since there is one operation for each method of a path: `post_merge_webhook_endpoints_by_id_test`.
fn operation_id(method: &str, path: &str) -> String {
    let words = path.trim_start_matches("/api").split('/');
    let words = words.filter(|word| !word.is_empty()).map(|word| {
        let parameter = word
            .strip_prefix('{')
            .and_then(|word| word.strip_suffix('}'));
        let word = parameter.map_or_else(|| word.to_owned(), |name| format!("by_{name}"));
        word.replace(['-', '.'], "_")
    });
    words.fold(method.to_owned(), |id, word| format!("{id}_{word}"))
}

/// Adds what the layers and extractors around a handler answer by themselves.
fn complete(operation: &mut Value) {
    let mut statuses = Vec::new();
    if operation["security"][0].get(API_KEY).is_some() {
        statuses.extend([401, 403, 500, 503]);
        if operation.get("requestBody").is_some() {
            statuses.extend([400, 408, 413, 415, 422]);
        }
        for parameter in operation["parameters"].as_array().into_iter().flatten() {
            statuses.push(match parameter["in"].as_str() {
                Some("path") => 404,
                Some("header") => 400,
                _ => 422,
            });
        }
    }
    let (has_key, has_preference) = (
        takes(operation, "Idempotency-Key"),
        takes(operation, "Prefer"),
    );
    let responses = &mut operation["responses"];
    for status in statuses {
        if responses.get(status.to_string()).is_none() {
            responses[status.to_string()] = json!({});
        }
    }
    for (status, response) in members(responses) {
        let status = status.parse().unwrap_or(StatusCode::OK);
        describe(response, status);
        if has_key && status.is_success() {
            put_headers(
                response,
                &[("Idempotent-Replayed", "`true`: an earlier request did it.")],
            );
        }
        if has_preference && status.is_success() {
            put_headers(
                response,
                &[("Preference-Applied", "Which preference was followed.")],
            );
        }
    }
}

fn takes(operation: &Value, header: &str) -> bool {
    let mut parameters = operation["parameters"].as_array().into_iter().flatten();
    parameters.any(|parameter| parameter["name"] == header)
}

/// What is the same for every answer of a status.
fn describe(response: &mut Value, status: StatusCode) {
    if response["description"]
        .as_str()
        .unwrap_or_default()
        .is_empty()
    {
        let kinds = Kind::ALL.iter().filter(|kind| kind.status() == status);
        let titles: Vec<_> = kinds.map(|kind| kind.title()).collect();
        response["description"] = match titles.as_slice() {
            [] => status.canonical_reason().unwrap_or_default().into(),
            titles => titles.join("; or: ").into(),
        };
    }
    put_headers(
        response,
        &[("X-Request-Id", "Names the request in our log.")],
    );
    match status {
        StatusCode::ACCEPTED => put_headers(
            response,
            &[
                ("Location", "Where to see what becomes of the job."),
                ("Retry-After", "Seconds after which to look."),
            ],
        ),
        StatusCode::UNAUTHORIZED => {
            put_headers(
                response,
                &[("WWW-Authenticate", "`Bearer`, where a key is needed.")],
            );
        }
        StatusCode::SERVICE_UNAVAILABLE => {
            put_headers(
                response,
                &[("Retry-After", "Seconds after which to try again.")],
            );
        }
        _ => {}
    }
    if status.is_client_error() || status.is_server_error() {
        let schema = format!("#/components/schemas/{}", problem_name(status));
        response["content"] =
            json!({ "application/problem+json": { "schema": { "$ref": schema } } });
    }
}

fn put_headers(response: &mut Value, headers: &[(&str, &str)]) {
    for (name, description) in headers {
        response["headers"][name] = json!({
            "description": description, "schema": { "type": "string" },
        });
    }
}

fn problem_name(status: StatusCode) -> String {
    format!("Problem{}", status.as_u16())
}

/// A problem of a status: which kinds it can be, and how one looks.
fn problem_schema(status: StatusCode) -> Value {
    let all = Kind::ALL.into_iter();
    let kinds: Vec<_> = all.filter(|kind| kind.status() == status).collect();
    let types: Vec<_> = kinds.iter().map(|kind| kind.urn()).collect();
    let example = kinds.first().map(|kind| {
        json!({
            "type": kind.urn(), "title": kind.title(), "status": status.as_u16(),
            "detail": "A sentence about this occurrence.",
            "request_id": "019342b5-7c1e-7a52-9b7e-0c4d5f1e2a3b",
        })
    });
    json!({
        "allOf": [{ "$ref": "#/components/schemas/Problem" }],
        "properties": { "type": { "enum": types }, "status": { "const": status.as_u16() } },
        "examples": [example],
    })
}

/// The document that the router put into the request.
pub(super) fn shown(request: &Request) -> &Value {
    let document = request.extensions().get::<Document>();
    document.map_or(&Value::Null, |Document(document)| document)
}

/// This document.
#[utoipa::path(
    get,
    path = "/openapi.json",
    tag = "service",
    responses((status = 200, description = "OpenAPI 3.1", body = Value))
)]
pub(super) async fn show(request: Request) -> Response {
    let body = shown(&request).to_string();
    let headers = [
        (
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/json"),
        ),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-cache")),
    ];
    (headers, body).into_response()
}
