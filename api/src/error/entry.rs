//! Why somebody was not let in by an invitation, or by their tenant's identity provider.

use axum::http::StatusCode;

/// Why nobody came in.
#[derive(Debug, thiserror::Error)]
pub enum EntryError {
    /// Unknown, used up, revoked, past its end, or of a tenant that is not in use: one answer for all of
    /// them.
    #[error("this code opens nothing, or nothing any more: ask for another invitation")]
    InvitationGone,
    /// The address that was invited has an account, and nobody proved to be its owner.
    #[error(
        "the address has an account: send its password, or the access token of a session that was opened with it"
    )]
    InvitationNeedsLogin,
    /// Somebody is logged in, and somebody else was invited.
    #[error("the invitation is for another address than yours")]
    InvitationOfAnother,
    /// The sign-in was not begun by this browser, is over, or the provider's word was not good: one
    /// answer for all of them.
    #[error("the sign-in failed: begin again")]
    SignInFailed,
    /// The tenant's identity provider does not answer as one.
    #[error(
        "the identity provider does not answer as one; try again, or ask the tenant's administrator"
    )]
    ProviderUnavailable,
}

impl EntryError {
    /// Status, stable code and title.
    pub const fn kind(&self) -> (StatusCode, &'static str, &'static str) {
        match self {
            Self::InvitationGone => (StatusCode::GONE, "invitation.gone", "Gone"),
            Self::InvitationNeedsLogin => (
                StatusCode::UNAUTHORIZED,
                "invitation.needs_login",
                "Not authenticated",
            ),
            Self::InvitationOfAnother => (
                StatusCode::FORBIDDEN,
                "invitation.of_another",
                "Not allowed",
            ),
            Self::SignInFailed => (StatusCode::UNAUTHORIZED, "sign_in.failed", "Not logged in"),
            // The fault is not ours, and whoever asks is charged for it: anybody may begin a sign-in.
            Self::ProviderUnavailable => (
                StatusCode::FAILED_DEPENDENCY,
                "identity_provider.unavailable",
                "Provider unavailable",
            ),
        }
    }
}
