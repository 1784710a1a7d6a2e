//! `GET /.well-known/jwks.json`: the keys with which others check our tokens (RFC 7517).

use axum::{
    Json,
    extract::State,
    http::header,
    response::{IntoResponse, Response},
};
use serde::Serialize;
use unity_shared::sessions::PublicKey;

use crate::{error::ApiError, extract::NoParameters, state::ApiState};

/// How long a copy may be kept. A new key is published for twice as long before it signs.
const CACHE: &str = "public, max-age=300";

/// A key set.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct JsonWebKeySet {
    /// The key that signs, one that will, and those whose tokens are still good.
    keys: Vec<JsonWebKey>,
}

/// A public Ed25519 key (RFC 8037).
#[derive(Debug, Serialize, utoipa::ToSchema)]
struct JsonWebKey {
    /// `OKP`.
    kty: &'static str,
    /// `Ed25519`.
    crv: &'static str,
    /// `EdDSA`.
    alg: &'static str,
    /// `sig`.
    #[serde(rename = "use")]
    purpose: &'static str,
    /// The key's thumbprint (RFC 7638), which a token's header names.
    kid: String,
    /// The key in base64url.
    x: String,
}

/// Shows the keys that sign access tokens.
#[utoipa::path(
    get,
    path = "/.well-known/jwks.json",
    tag = "auth",
    responses((status = 200, description = "The keys. May be kept for five minutes.", body = JsonWebKeySet)),
)]
pub async fn get_jwks(
    State(state): State<ApiState>,
    NoParameters: NoParameters,
) -> Result<Response, ApiError> {
    let keyring = state.signing_keys().current().await?;
    let keys = keyring.published().cloned().map(JsonWebKey::from);
    let set = JsonWebKeySet {
        keys: keys.collect(),
    };
    Ok(([(header::CACHE_CONTROL, CACHE)], Json(set)).into_response())
}

impl From<PublicKey> for JsonWebKey {
    fn from(PublicKey { id, x }: PublicKey) -> Self {
        Self {
            kty: "OKP",
            crv: "Ed25519",
            alg: "EdDSA",
            purpose: "sig",
            kid: id,
            x,
        }
    }
}
