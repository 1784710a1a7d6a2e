//! Unity as its users run it: API, scheduler and a simulated cluster as processes of their own, and
//! workers when a scenario asks for them.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};
use futures::future::try_join_all;
use sqlx::{ConnectOptions as _, Connection as _, PgConnection};
use toml::Table;
use unity_shared::{
    clock::Clock,
    config::Settings,
    db::{Database, DatabaseUrls, PoolSettings},
    tenancy::{Role, random_base62},
};

use super::{
    Bench,
    ground::{Ground, Site},
    part::{Part, SIMULATOR, free_address},
};
use crate::{commands::create_key, dev::write_private};

/// Everything but workers, ready.
pub(super) struct Stack<'a> {
    pub(super) ground: &'a Ground,
    pub(super) api: SocketAddr,
    pub(super) admin_key: String,
    /// The record, as the owner of the schema.
    pub(super) owner: PgConnection,
    pub(super) site: Site,
    pub(super) parts: Vec<Part>,
    config: PathBuf,
}

/// What a process says when something is wrong, and how long a refill of the gate took.
const LOG: &str = "warn,unity_scheduler::loops::keep_gate_open=info";

impl<'a> Stack<'a> {
    /// Starts it on a database of its own.
    pub(super) async fn start(bench: &'a Bench) -> Result<Self> {
        let ground = &bench.ground;
        let site = ground.site().await?;
        let folder = ground.folder();
        let (config, kubeconfig) = (
            folder.join(format!("{}.toml", site.name)),
            folder.join(format!("{}.kubeconfig", site.name)),
        );
        let mut settings = settings(ground, &site, &kubeconfig);
        settings.insert("rate_limits".to_owned(), bench.rate_limits.into());
        write_private(&config, settings.to_string().as_bytes())?;
        let mut simulator = Part::start(
            SIMULATOR,
            &config,
            &["--kubeconfig".to_owned(), kubeconfig.display().to_string()],
            folder,
        )?;
        simulator.wrote(&kubeconfig).await?;
        let address = free_address()?;
        let listen = ["--listen".to_owned(), address.to_string()];
        let mut api = Part::start("api", &config, &listen, folder)?;
        let mut scheduler = Part::start("scheduler", &config, &[], folder)?;
        api.ready().await?;
        scheduler.ready().await?;
        Ok(Self {
            ground,
            api: address,
            admin_key: admin_key(&site).await?,
            owner: connect(&site).await?,
            site,
            parts: vec![simulator, api, scheduler],
            config,
        })
    }

    /// Starts a worker process. It takes jobs from the moment it can.
    pub(super) fn worker(&self, concurrency: u32) -> Result<Part> {
        let arguments = ["--concurrency".to_owned(), concurrency.to_string()];
        Part::start("worker", &self.config, &arguments, self.ground.folder())
    }

    /// Starts another API or scheduler process beside the one there is, at the same address.
    pub(super) fn another(&self, name: &'static str) -> Result<Part> {
        let listen = ["--listen".to_owned(), self.api.to_string()];
        let arguments: &[String] = if name == "api" { &listen } else { &[] };
        Part::start(name, &self.config, arguments, self.ground.folder())
    }

    /// Kills the process of this name and starts it again.
    pub(super) fn start_again(&mut self, name: &'static str) -> Result<()> {
        let at = self.parts.iter().position(|part| part.name() == name);
        let at = at.with_context(|| format!("unity {name} is not running"))?;
        // Its address is free again when it is gone.
        drop(self.parts.swap_remove(at));
        let part = self.another(name)?;
        self.parts.push(part);
        Ok(())
    }

    /// The process of this name.
    pub(super) fn part(&self, name: &str) -> Result<&Part> {
        let found = self.parts.iter().find(|part| part.name() == name);
        found.with_context(|| format!("unity {name} is not running"))
    }

    /// The settings of its processes.
    pub(super) fn settings(&self) -> Result<Settings> {
        let settings = Settings::read(Some(self.config.clone()), &serde_json::Map::new());
        settings.context("the settings that were just written cannot be read")
    }

    /// The record, as Unity's processes see it.
    pub(super) async fn database(&self) -> Result<Database> {
        database(&self.site).await
    }

    /// Stops everything and removes the database.
    pub(super) async fn end(self) -> Result<()> {
        self.owner.close().await?;
        try_join_all(self.parts.into_iter().map(Part::stop)).await?;
        self.ground.clear(&self.site.name).await
    }
}

fn settings(ground: &Ground, site: &Site, kubeconfig: &Path) -> Table {
    let mut table = Table::new();
    for (name, text) in [
        ("database_url", site.app_url.clone()),
        ("platform_database_url", site.platform_url.clone()),
        ("redis_url", ground.redis_url().to_owned()),
        ("redis_prefix", site.name.clone()),
        ("secret_key", random_base62(43)),
        ("kubeconfig", kubeconfig.display().to_string()),
        ("log", LOG.to_owned()),
        ("log_format", "json".to_owned()),
    ] {
        table.insert(name.to_owned(), text.into());
    }
    table.insert("probe_jobs".to_owned(), true.into());
    table
}

/// The record, as the owner sees it. Its questions are small and asked again and again: to compile one
/// took more of the machine than the work that it waited for.
pub(super) async fn connect(site: &Site) -> Result<PgConnection> {
    let owner = site.owner.clone().options([("jit", "off")]);
    let connecting = owner.connect().await;
    connecting.context("could not connect to the database as its owner")
}

/// The record, as Unity's processes see it.
async fn database(site: &Site) -> Result<Database> {
    let urls = DatabaseUrls {
        app: site.app_url.clone(),
        platform: site.platform_url.clone(),
    };
    Ok(Database::connect(&urls, PoolSettings::default()).await?)
}

async fn admin_key(site: &Site) -> Result<String> {
    let database = database(site).await?;
    let clock = Clock::system();
    let key = create_key(&database, &clock, None, Role::SystemAdmin, "unity bench").await?;
    database.close().await;
    Ok(key.reveal().to_owned())
}
