//! The console's own files, compiled in.

use axum::{
    extract::Request,
    response::{IntoResponse, Response},
};
use http::{HeaderValue, StatusCode, header};
use sha2::{Digest, Sha256};

use phrases::mark;

use super::fault::Fault;

const FILES: [(&str, &str, &str); 3] = [
    (
        "console.css",
        "text/css; charset=utf-8",
        include_str!("assets/console.css"),
    ),
    (
        "console.js",
        "text/javascript; charset=utf-8",
        include_str!("assets/console.js"),
    ),
    ("icon.svg", "image/svg+xml", include_str!("assets/icon.svg")),
];

/// A file, if the browser has not the same already.
pub(super) async fn serve(request: Request) -> Result<Response, Fault> {
    let name = request.uri().path().rsplit('/').next().unwrap_or_default();
    let found = FILES.into_iter().find(|(known, _, _)| *known == name);
    let (_, content_type, body) = found.ok_or_else(|| Fault::missing(mark!("file")))?;
    let digest = Sha256::digest(body);
    let tag = digest
        .iter()
        .take(8)
        .fold(String::from("\""), |tag, byte| tag + &format!("{byte:02x}"))
        + "\"";
    let tag = HeaderValue::from_str(&tag).expect("hexadecimal digits and quotes");
    // Asked about each time, so that a new version is there at once; it is on the way for nobody but us.
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static(content_type)),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-cache")),
        (header::ETAG, tag.clone()),
    ];
    if request.headers().get(header::IF_NONE_MATCH) == Some(&tag) {
        return Ok((StatusCode::NOT_MODIFIED, headers).into_response());
    }
    Ok((headers, body).into_response())
}
