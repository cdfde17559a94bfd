//! The kinds of problem: one stable slug, title and status each.

use http::StatusCode;

/// What kind of problem it is. The slug is part of the API: never rename one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The request is no HTTP or JSON that we could read.
    MalformedRequest,
    /// A field is missing, unknown, of the wrong type, or out of bounds.
    InvalidField,
    /// No key, or one that is unknown, expired or revoked.
    Unauthenticated,
    /// Nobody who shares a secret with us signed it.
    BadSignature,
    /// The key lacks the scope that the route demands.
    MissingScope,
    /// The key is bound to an organization; the route is for who sees all.
    BoundKey,
    /// No such address or thing, or one of another organization.
    NotFound,
    /// The address exists, but not for this method.
    MethodNotAllowed,
    /// The body did not arrive in time.
    RequestTimeout,
    /// The account to be linked is linked already.
    AlreadyActive,
    /// The account's state does not allow this.
    Conflict,
    /// The endpoint's state does not allow this.
    EndpointConflict,
    /// It cannot be done as things stand.
    NotAsItStands,
    /// What was asked for was there once, and is kept no longer.
    Gone,
    /// The body is longer than the route takes.
    BodyTooLarge,
    /// The body is not declared as JSON.
    UnsupportedMediaType,
    /// The `Idempotency-Key` was used with another body.
    KeyReused,
    /// The integration provider refused what was asked.
    Refused,
    /// The integration provider failed for good.
    BadUpstream,
    /// We, or what we depend on, cannot serve the request just now.
    Unavailable,
    /// Our fault.
    Internal,
}

impl Kind {
    /// All of them.
    pub(crate) const ALL: [Self; 21] = [
        Self::MalformedRequest,
        Self::InvalidField,
        Self::Unauthenticated,
        Self::BadSignature,
        Self::MissingScope,
        Self::BoundKey,
        Self::NotFound,
        Self::MethodNotAllowed,
        Self::RequestTimeout,
        Self::AlreadyActive,
        Self::Conflict,
        Self::EndpointConflict,
        Self::NotAsItStands,
        Self::Gone,
        Self::BodyTooLarge,
        Self::UnsupportedMediaType,
        Self::KeyReused,
        Self::Refused,
        Self::BadUpstream,
        Self::Unavailable,
        Self::Internal,
    ];

    /// The problem's `type`.
    pub(crate) fn urn(self) -> String {
        format!("urn:syncline:problem:{}", self.slug())
    }

    /// The status of every answer of this kind.
    pub(crate) fn status(self) -> StatusCode {
        match self {
            Self::MalformedRequest => StatusCode::BAD_REQUEST,
            Self::InvalidField | Self::KeyReused | Self::Refused => {
                StatusCode::UNPROCESSABLE_ENTITY
            }
            Self::Unauthenticated | Self::BadSignature => StatusCode::UNAUTHORIZED,
            Self::MissingScope | Self::BoundKey => StatusCode::FORBIDDEN,
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::RequestTimeout => StatusCode::REQUEST_TIMEOUT,
            Self::AlreadyActive | Self::Conflict | Self::EndpointConflict | Self::NotAsItStands => {
                StatusCode::CONFLICT
            }
            Self::Gone => StatusCode::GONE,
            Self::BodyTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::UnsupportedMediaType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::BadUpstream => StatusCode::BAD_GATEWAY,
            Self::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
            Self::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// The last part of the problem's `type`.
    pub(super) fn slug(self) -> &'static str {
        match self {
            Self::MalformedRequest => "malformed-request",
            Self::InvalidField => "invalid-field",
            Self::Unauthenticated => "unauthenticated",
            Self::BadSignature => "bad-signature",
            Self::MissingScope => "missing-scope",
            Self::BoundKey => "bound-key",
            Self::NotFound => "not-found",
            Self::MethodNotAllowed => "method-not-allowed",
            Self::RequestTimeout => "request-timeout",
            Self::AlreadyActive => "already-active",
            Self::Conflict => "conflict",
            Self::EndpointConflict => "endpoint-conflict",
            Self::NotAsItStands => "not-as-it-stands",
            Self::Gone => "gone",
            Self::BodyTooLarge => "body-too-large",
            Self::UnsupportedMediaType => "unsupported-media-type",
            Self::KeyReused => "idempotency-key-reused",
            Self::Refused => "refused-by-provider",
            Self::BadUpstream => "provider-failed",
            Self::Unavailable => "unavailable",
            Self::Internal => "internal",
        }
    }

    /// The same words for every occurrence.
    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::MalformedRequest => "The request cannot be read",
            Self::InvalidField => "A field is not valid",
            Self::Unauthenticated => "A valid API key is needed",
            Self::BadSignature => "The signature is not valid",
            Self::MissingScope => "The API key lacks a scope",
            Self::BoundKey => "The API key is for one organization only",
            Self::NotFound => "Not found",
            Self::MethodNotAllowed => "Method not allowed",
            Self::RequestTimeout => "The request took too long to arrive",
            Self::AlreadyActive => "The account is linked already",
            Self::Conflict => "The account's state does not allow this",
            Self::EndpointConflict => "The endpoint's state does not allow this",
            Self::NotAsItStands => "It cannot be done as things stand",
            Self::Gone => "Kept no longer",
            Self::BodyTooLarge => "The body is too large",
            Self::UnsupportedMediaType => "The body must be JSON",
            Self::KeyReused => "The idempotency key belongs to another request",
            Self::Refused => "The integration provider refused the request",
            Self::BadUpstream => "The integration provider failed",
            Self::Unavailable => "Temporarily unavailable",
            Self::Internal => "Internal error",
        }
    }
}
