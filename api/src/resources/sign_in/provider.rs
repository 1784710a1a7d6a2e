//! What is asked of a tenant's identity provider, and what its tokens must say.

use openidconnect::{
    AuthenticationFlow, AuthorizationCode, ClaimsVerificationError, ClientId, ClientSecret,
    CsrfToken, EndpointMaybeSet, EndpointNotSet, EndpointSet, HttpRequest, Nonce,
    PkceCodeChallenge, PkceCodeVerifier, RedirectUrl, Scope, TokenResponse,
    core::{CoreAuthenticationFlow, CoreClient, CoreJwsSigningAlgorithm},
};
use unity_shared::{
    ids::TenantId,
    people::{EmailAddress, IdentityProvider},
    telemetry::chain,
};

use super::{
    begun::{SignInState, SignIns},
    known::WhichProvider,
};
use crate::{
    error::{ApiError, EntryError},
    outbound::{Outbound, OutboundError},
    state::ApiState,
};

type Connected = CoreClient<
    EndpointSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointMaybeSet,
    EndpointMaybeSet,
>;

/// Tokens are signed by a key that only the provider has. Our own secret, or nothing, is no signature.
const ALGORITHMS: [CoreJwsSigningAlgorithm; 9] = [
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha256,
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha384,
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha512,
    CoreJwsSigningAlgorithm::RsaSsaPssSha256,
    CoreJwsSigningAlgorithm::RsaSsaPssSha384,
    CoreJwsSigningAlgorithm::RsaSsaPssSha512,
    CoreJwsSigningAlgorithm::EcdsaP256Sha256,
    CoreJwsSigningAlgorithm::EcdsaP384Sha384,
    CoreJwsSigningAlgorithm::EdDsa,
];

/// A provider that has said where its parts are.
pub struct Provider {
    client: Connected,
    which: WhichProvider,
}

/// Whom the provider means.
pub struct Claims {
    /// Its name for them.
    pub subject: String,
    /// Their address, which it has verified.
    pub email: EmailAddress,
    /// What they call themselves; absent = it does not say.
    pub name: Option<String>,
}

impl Provider {
    /// The provider with its parts and keys, as it said lately or says now. What does not depend on it is
    /// looked at first: an installation that cannot take an answer asks nobody.
    pub async fn find(
        state: &ApiState,
        tenant: &TenantId,
        provider: &IdentityProvider,
    ) -> Result<Self, ApiError> {
        let redirect = state.redirect_uri().ok_or_else(no_public_url)?;
        let redirect = RedirectUrl::new(redirect).map_err(|_| no_public_url())?;
        let secret = state.open_for(tenant, &provider.sealed_secret)?;
        let which = WhichProvider {
            tenant: tenant.clone(),
            issuer: provider.issuer.clone(),
            version: provider.version,
        };
        let known = state.known_providers();
        let metadata = known.find(&which, state.outbound(), state.clock()).await?;
        let client = CoreClient::from_provider_metadata(
            (*metadata).clone(),
            ClientId::new(provider.client_id.clone()),
            Some(ClientSecret::new(secret)),
        )
        .set_redirect_uri(redirect);
        Ok(Self { client, which })
    }

    /// Where the browser is sent to.
    pub fn entrance(&self, sign_ins: &SignIns, state: &SignInState) -> String {
        let verifier = PkceCodeVerifier::new(sign_ins.verifier(state));
        let challenge = PkceCodeChallenge::from_code_verifier_sha256(&verifier);
        let (text, nonce) = (state.reveal().to_owned(), sign_ins.nonce(state));
        let flow: CoreAuthenticationFlow = AuthenticationFlow::AuthorizationCode;
        let (url, _, _) = self
            .client
            .authorize_url(flow, || CsrfToken::new(text), || Nonce::new(nonce))
            .add_scope(Scope::new("email".to_owned()))
            .add_scope(Scope::new("profile".to_owned()))
            .set_pkce_challenge(challenge)
            .url();
        url.into()
    }

    /// Exchanges the code for a token and answers whom it means, if it is a token for us, in answer to this
    /// very question, about somebody whose address is verified. If not, the log says why.
    pub async fn redeem(
        &self,
        state: &ApiState,
        begun: &SignInState,
        code: String,
    ) -> Result<Claims, ApiError> {
        let known = state.known_providers();
        let _call = known.calls().begin(&self.which.tenant).await?;
        match self.try_redeem(state, begun, code).await {
            Ok(claims) => Ok(claims),
            Err(reason) => {
                tracing::warn!(tenant_id = %self.which.tenant, reason, "a sign-in was refused");
                Err(EntryError::SignInFailed.into())
            }
        }
    }

    async fn try_redeem(
        &self,
        state: &ApiState,
        begun: &SignInState,
        code: String,
    ) -> Result<Claims, String> {
        let (sign_ins, clock) = (state.sign_ins(), state.clock());
        let request = self
            .client
            .exchange_code(AuthorizationCode::new(code))
            .map_err(|error| chain(&error))?
            .set_pkce_verifier(PkceCodeVerifier::new(sign_ins.verifier(begun)));
        let tokens = request
            .request_async(&caller(state.outbound()))
            .await
            .map_err(|error| chain(&error))?;
        let token = tokens.id_token().ok_or("there is no ID token")?;
        let nonce = Nonce::new(sign_ins.nonce(begun));
        let verifier = self
            .client
            .id_token_verifier()
            .set_allowed_algs(ALGORITHMS)
            .set_time_fn(|| clock.now());
        let claims = match token.claims(&verifier, &nonce) {
            Ok(claims) => claims,
            Err(error) => {
                if matches!(error, ClaimsVerificationError::SignatureVerification(_)) {
                    // Its keys may be others by now; whoever begins again is judged by those.
                    let known = state.known_providers();
                    known.forget(&self.which, clock.now()).await;
                }
                return Err(chain(&error));
            }
        };
        if claims.email_verified() != Some(true) {
            return Err("the address is not verified".to_owned());
        }
        let email = claims.email().ok_or("there is no address")?;
        let name = claims.name().and_then(|name| name.get(None));
        let name = name.map(|name| name.as_str().to_owned());
        Ok(Claims {
            subject: claims.subject().as_str().to_owned(),
            email: EmailAddress::parse(email).map_err(|error| chain(&error))?,
            name: name.filter(|name| is_name(name)),
        })
    }
}

/// The provider's word for a name is taken if a person could have entered it here.
fn is_name(name: &str) -> bool {
    let length = name.chars().count();
    (1..=200).contains(&length) && !name.trim().is_empty() && !name.chars().any(char::is_control)
}

/// The library speaks through our own client.
pub fn caller(
    outbound: &Outbound,
) -> impl Fn(
    HttpRequest,
) -> futures::future::BoxFuture<'static, Result<openidconnect::HttpResponse, OutboundError>>
+ Send
+ Sync
+ use<> {
    let outbound = outbound.clone();
    move |request| {
        let outbound = outbound.clone();
        Box::pin(async move { outbound.send(request).await })
    }
}

fn no_public_url() -> ApiError {
    ApiError::Conflict {
        code: "sign_in.no_public_url",
        detail: "the installation does not say at which address it is found: set public_url"
            .to_owned(),
    }
}
