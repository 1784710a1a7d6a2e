//! People: who they are, which tenants they are members of, and how they come in.
//!
//! A person is one identity over all tenants, found by the address that mail reaches them at. A
//! membership says which tenant and role. Somebody becomes a member by an invitation that goes to
//! their address and is accepted by whoever proves to be that person.

mod accept;
mod elsewhere;
mod email;
mod identity_provider;
mod invitation;
mod mail_token;
mod member;
mod orphans;
mod person;
mod recent_mails;
mod sign_in;
mod vouch;

pub use accept::{Admitted, Entry, NewPerson, OpenInvitation, admit, find_open_invitation};
pub use elsewhere::{is_invitation_elsewhere, is_member_elsewhere};
pub use email::{EmailAddress, InvalidEmail};
pub use identity_provider::{
    IdentityProvider, MOST_BY_DEFAULT, NewIdentityProvider, delete_identity_provider,
    find_identity_provider, put_identity_provider,
};
pub use invitation::{
    INVITATION_LASTS, Invitation, InvitationState, Inviter, NewInvitation, count_expired_places,
    find_invitation, insert_invitation, list_invitations, mark_mailed, reissue_invitation,
    revoke_invitation,
};
pub use mail_token::{MailToken, MailTokens};
pub use member::{
    Departure, Member, MemberRow, Unchanged, change_role, find_member, is_member, list_members,
    remove_member,
};
pub use orphans::{ORPHANS_STAY, delete_orphans, mark_orphans};
pub use person::{Person, find_people, find_person};
pub use recent_mails::{RecentMails, find_recent_mails};
pub use sign_in::{SIGN_IN_LASTS, use_sign_in};
pub use vouch::{Recognised, Vouched, admit_vouched};
