//! `unity dev`: everything in one process, nothing to install first.
//!
//! | file | what |
//! |---|---|
//! | `folder` | the data folder: what is kept there and read back at the next start |
//! | `backing` | PostgreSQL, Redis and the cluster: given, or private |
//! | `stack` | API, workers and scheduler on top of them, and their end in order |
//! | `demo` | the demo tenant, made through the public API as anybody would |
//! | `show` | what a person sees |

mod backing;
mod demo;
mod folder;
mod show;
mod stack;

use anyhow::Result;
use tokio_util::sync::CancellationToken;
use unity_shared::{config::Settings, telemetry::start_logging};

use self::{folder::Folder, stack::Stack};
use crate::{
    args::{DevFlags, GlobalFlags},
    commands::runtime,
    process::shutdown_signal,
};

pub use self::folder::{DemoRecord, DevRecord, write_private};

/// Runs the stack until it is told to stop, or with `--once` until the demo job has ended.
pub fn run(global: &GlobalFlags, flags: &DevFlags) -> Result<()> {
    let mut settings = global.settings(&())?;
    if settings.log == Settings::default().log {
        // The terminal belongs to the demo; whoever wants the log lines says so.
        "warn,apalis_core=error".clone_into(&mut settings.log);
    }
    start_logging(settings.log_format, &settings.log)?;
    let folder = Folder::open(&flags.data_dir)?;
    runtime()?.block_on(async {
        let shutdown = shutdown_signal()?;
        tokio::select! {
            outcome = start_and_serve(&settings, flags, &folder, &shutdown) => outcome,
            () = stop_early(&shutdown) => Ok(()),
        }
    })
}

async fn start_and_serve(
    settings: &Settings,
    flags: &DevFlags,
    folder: &Folder,
    shutdown: &CancellationToken,
) -> Result<()> {
    let mut stack = Stack::start(settings, flags, folder).await?;
    let outcome = serve(&mut stack, flags, folder, shutdown).await;
    stack.stop().await;
    outcome
}

/// A stop during the start: what was started is stopped by being dropped. Once the stack stands it
/// ends by itself, in order, so this gives it the time to.
async fn stop_early(shutdown: &CancellationToken) {
    shutdown.cancelled().await;
    if stack::is_standing() {
        std::future::pending::<()>().await;
    }
}

async fn serve(
    stack: &mut Stack,
    flags: &DevFlags,
    folder: &Folder,
    shutdown: &CancellationToken,
) -> Result<()> {
    let record = stack.record();
    record.write(folder)?;
    let connections = stack.connections();
    let record = if flags.no_demo {
        record
    } else {
        let demo = tokio::select! {
            demo = demo::run(record, &connections) => demo?,
            failed = stack.failed() => return Err(failed),
            () = shutdown.cancelled() => return Ok(()),
        };
        let record = DevRecord {
            demo: Some(demo),
            ..stack.record()
        };
        record.write(folder)?;
        record
    };
    show::ready(&record, flags.once);
    if flags.once {
        return Ok(());
    }
    tokio::select! {
        () = shutdown.cancelled() => {
            show::line("stopping");
            Ok(())
        }
        failed = stack.failed() => Err(failed),
    }
}
