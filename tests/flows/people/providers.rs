//! Identity providers are what tenants name and anybody may begin a sign-in: neither is of any use to
//! whoever wants to make us call somebody, or to keep others out.

use chrono::TimeDelta;
use reqwest::StatusCode;

use super::sign_in::{Browser, caller_of, refused, set_provider, sign_in};
use crate::harness::{Answer, IdentityProvider, Stack, StackOptions};

const START: &str = "/api/v1/auth/oidc/acme/start";

async fn start(stack: &Stack) -> StatusCode {
    let url = format!("{}{START}", stack.api_url);
    Browser::new().get(&url).await.status()
}

async fn refused_start(stack: &Stack) -> Answer {
    let answer = stack.admin.without_key().get(START).await;
    answer.problem(424, "identity_provider.unavailable")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_is_asked_about_itself_once_for_all_who_begin_within_minutes() {
    let (stack, clock) = Stack::still_now().await;
    let admin = stack.create_tenant("acme").await;
    let provider = IdentityProvider::start().await;
    set_provider(&admin, "acme", &provider, Some("viewer")).await;
    let all = futures::future::join_all((0..20).map(|_| start(&stack))).await;
    assert!(all.iter().all(|status| *status == 303), "{all:?}");
    assert_eq!(provider.asked(), 1);
    provider.log_in("1", "new@people.example");
    caller_of(&stack, sign_in(&stack, "acme").await).await;
    assert_eq!(provider.asked(), 1);
    clock.advance(TimeDelta::minutes(5));
    assert_eq!(start(&stack).await, 303);
    assert_eq!(provider.asked(), 2);
    // What is set anew is asked anew, also if it is the first of a tenant again.
    set_provider(&admin, "acme", &provider, Some("viewer")).await;
    assert_eq!(start(&stack).await, 303);
    assert_eq!(provider.asked(), 3);
    let other = IdentityProvider::start().await;
    let path = "/api/v1/tenants/acme/identity-provider";
    admin.delete(path).await.expect(204);
    set_provider(&admin, "acme", &other, Some("viewer")).await;
    assert_eq!(start(&stack).await, 303);
    assert_eq!((provider.asked(), other.asked()), (3, 1));
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_that_is_no_help_is_left_alone_for_half_a_minute() {
    let (stack, clock) = Stack::still_now().await;
    let admin = stack.create_tenant("acme").await;
    let provider = IdentityProvider::start().await;
    set_provider(&admin, "acme", &provider, Some("viewer")).await;
    provider.go_away(true);
    futures::future::join_all((0..10).map(|_| refused_start(&stack))).await;
    assert_eq!(provider.asked(), 1);
    provider.go_away(false);
    clock.advance(TimeDelta::seconds(29));
    refused_start(&stack).await;
    assert_eq!(provider.asked(), 1);
    clock.advance(TimeDelta::seconds(1));
    assert_eq!(start(&stack).await, 303);
    // One that says it is another is no help either.
    provider.pretend_to_be("https://somebody.example");
    set_provider(&admin, "acme", &provider, Some("viewer")).await;
    refused_start(&stack).await;
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_that_has_changed_its_keys_is_believed_at_the_second_attempt() {
    let (stack, clock) = Stack::still_now().await;
    let admin = stack.create_tenant("acme").await;
    let provider = IdentityProvider::start().await;
    set_provider(&admin, "acme", &provider, Some("viewer")).await;
    provider.log_in("1", "new@people.example");
    caller_of(&stack, sign_in(&stack, "acme").await).await;
    provider.change_key();
    clock.advance(TimeDelta::seconds(31));
    provider.shift(TimeDelta::seconds(31));
    refused(sign_in(&stack, "acme").await).await;
    caller_of(&stack, sign_in(&stack, "acme").await).await;
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_begins_sign_ins_that_lead_nowhere_is_held_up() {
    let options = StackOptions {
        address_limit: unity_api::AddressLimit {
            per_second: 1,
            burst: 5,
        },
        ..StackOptions::still()
    };
    let stack = Stack::start_with(options).await;
    let admin = stack.create_tenant("acme").await;
    let provider = IdentityProvider::start().await;
    provider.go_away(true);
    set_provider(&admin, "acme", &provider, None).await;
    let attempts = (0..20).map(|_| async { stack.admin.without_key().get(START).await });
    let answers = futures::future::join_all(attempts).await;
    let answers: Vec<u16> = answers
        .iter()
        .map(|answer| answer.status.as_u16())
        .collect();
    assert!(answers.contains(&424), "{answers:?}");
    // What was under way with them was let in too; whoever comes after is not.
    let late = stack.admin.without_key().get(START).await;
    late.problem(429, "rate_limited");
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_installation_that_cannot_take_an_answer_asks_nobody() {
    let options = StackOptions {
        public_url: Some("no address".to_owned()),
        ..StackOptions::still()
    };
    let stack = Stack::start_with(options).await;
    let admin = stack.create_tenant("acme").await;
    let provider = IdentityProvider::start().await;
    set_provider(&admin, "acme", &provider, None).await;
    let refused = stack.admin.without_key().get(START).await;
    refused.problem(409, "sign_in.no_public_url");
    assert_eq!(provider.asked(), 0);
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn however_many_begin_nobodys_sign_in_is_lost_until_ten_minutes_have_passed() {
    let (stack, clock) = Stack::still_now().await;
    let admin = stack.create_tenant("acme").await;
    let provider = IdentityProvider::start().await;
    set_provider(&admin, "acme", &provider, Some("viewer")).await;
    provider.log_in("1", "new@people.example");
    let (mut first, mut late) = (Browser::new(), Browser::new());
    let back = first.sign_in_at_the_provider(&stack, "acme").await;
    let too_late = late.sign_in_at_the_provider(&stack, "acme").await;
    for _ in 0..11 {
        let all = futures::future::join_all((0..100).map(|_| start(&stack))).await;
        assert!(all.iter().all(|status| *status == 303));
    }
    assert_eq!(first.get(&back).await.status(), 200);
    clock.advance(TimeDelta::minutes(10));
    refused(late.get(&too_late).await).await;
    // That it was used is remembered no longer than it matters.
    let used = "SELECT count(*) FROM sign_ins";
    assert_eq!(stack.count(used).await, 1);
    stack.tick().await;
    assert_eq!(stack.count(used).await, 0);
    stack.stop().await;
}
