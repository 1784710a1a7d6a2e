//! The gate's Lua scripts, each sent once per server and then called by its hash.

use redis::Script;

/// What every script begins with: the keys, what waits, the way to the workers, the rules of admission,
/// the ways out.
const PRELUDE: [&str; 5] = [
    include_str!("lua/prelude.lua"),
    include_str!("lua/waiting.lua"),
    include_str!("lua/ready.lua"),
    include_str!("lua/admission.lua"),
    include_str!("lua/release.lua"),
];

/// Declares the scripts: one field and one file of the same name for each.
macro_rules! scripts {
    ($($name:ident),* $(,)?) => {
        #[derive(Debug)]
        pub(super) struct Scripts {
            $(pub $name: Script,)*
        }

        impl Scripts {
            pub(super) fn new() -> Self {
                let prelude = PRELUDE.concat();
                // Wherever the body returns, what it left to be written is written.
                let script = |body: &str| {
                    Script::new(&format!(
                        "{prelude}\nlocal function run()\n{body}\nend\nlocal answer = run()\nwrite_rest()\nreturn answer"
                    ))
                };
                Self {
                    $($name: script(include_str!(concat!("lua/", stringify!($name), ".lua"))),)*
                }
            }
        }
    };
}

scripts!(
    offer,
    claim,
    settle,
    beat,
    leave,
    rejoin,
    reap,
    expiring,
    extend,
    opening,
    begin,
    empty,
    open,
    restore,
    forget,
    forget_tenant,
    set_limits,
    set_switches,
    why,
    queues,
);
