//! The gate's Lua scripts, each sent once per server and then called by its hash.

use redis::Script;

const PRELUDE: &str = include_str!("lua/prelude.lua");

#[derive(Debug)]
pub(super) struct Scripts {
    pub offer: Script,
    pub claim: Script,
    pub settle: Script,
    pub beat: Script,
    pub leave: Script,
    pub rejoin: Script,
    pub reap: Script,
    pub set_limits: Script,
    pub open: Script,
    pub extend: Script,
}

impl Scripts {
    pub(super) fn new() -> Self {
        let script = |body: &str| Script::new(&format!("{PRELUDE}\n{body}"));
        Self {
            offer: script(include_str!("lua/offer.lua")),
            claim: script(include_str!("lua/claim.lua")),
            settle: script(include_str!("lua/settle.lua")),
            beat: script(include_str!("lua/beat.lua")),
            leave: script(include_str!("lua/leave.lua")),
            rejoin: script(include_str!("lua/rejoin.lua")),
            reap: script(include_str!("lua/reap.lua")),
            set_limits: script(include_str!("lua/set_limits.lua")),
            open: script(include_str!("lua/open.lua")),
            extend: script(include_str!("lua/extend.lua")),
        }
    }
}
