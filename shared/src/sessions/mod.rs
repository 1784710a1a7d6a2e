//! People who log in: passwords tried, sessions, and the tokens that stand for them.
//!
//! An access token is signed, lives for minutes and is worth what the rows say at the moment of use:
//! its session, its person and their membership. A refresh token is random, kept as a hash, and good
//! for one use.

mod admin;
mod attempts;
mod crypto;
mod expire;
mod keyring;
mod login;
mod refresh;
mod sealing;
mod session;
mod signing_key;
mod token;

pub(crate) use admin::give_first_password;
pub use admin::{NewPlatformAdmin, insert_platform_admin, set_user_disabled};
pub use attempts::{AttemptKey, LOGIN_WINDOW, count_attempts, forget_attempts};
pub use expire::{Expired, expire_sessions};
pub use keyring::{Keyring, PublicKey};
pub use login::{Account, Choice, find_account, find_account_of, list_choices, replace_password};
pub use refresh::{
    REFRESH_LIFE, RefreshToken, RefreshUse, claim_refresh_token, forget_refresh_tokens,
    insert_refresh_token, mark_used,
};
pub use sealing::{SealError, SealingKey};
pub(crate) use session::end_sessions_in;
pub use session::{
    EndReason, NewSession, OpenedWith, SESSION_LIFE, SessionOwner, end_session,
    find_refreshed_session, find_session_owner, insert_session, mark_refreshed,
    renew_session_epoch,
};
pub use signing_key::{
    KeyState, PUBLISHED_AHEAD, RotateError, Rotation, SigningKey, TRUSTED_AFTER,
    ensure_signing_key, list_signing_keys, rotate_signing_keys,
};
pub use token::{AUDIENCE, Claims, ISSUER, TOKEN_LIFE};
