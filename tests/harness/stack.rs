//! The whole of Unity in this process, on a database and a Redis prefix of its own.

use std::{future::Future, str::FromStr, time::Duration};

use chrono::TimeDelta;
use serde_json::{Value, json};
use sqlx::{ConnectOptions, PgConnection, postgres::PgConnectOptions};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use unity_api::{ApiState, router, serve};
use unity_scheduler::{Context, Cursors, Scheduler, run_all_once};
use unity_shared::{
    clock::Clock,
    config::Secret,
    db::Database,
    ids::{JobId, WorkerId},
    people::MailTokens,
    queue::Gate,
    tenancy::{ApiKey, QUOTA_MAX, Role, insert_api_key},
};
use unity_worker::{Assignment, MailSettings, Mailer, Worker, WorkerOptions, WorkerServices};

use super::{
    Answer, Caller, Cluster,
    options::{PREFIX, SECRET_KEY, StackOptions, api_options, connect_database, connect_gate},
    servers,
};

/// A running stack. End a test with [`Stack::finish`], which also looks for jobs left behind.
pub struct Stack {
    pub name: String,
    pub api_url: String,
    pub admin: Caller,
    pub database: Database,
    pub gate: Gate,
    pub clock: Clock,
    pub cluster: Cluster,
    pub options: StackOptions,
    state: ApiState,
    cursors: Cursors,
    mails: tempfile::TempDir,
    api: CancellationToken,
    parts: CancellationToken,
    running: JoinSet<()>,
    finished: bool,
}

impl Stack {
    pub async fn start() -> Self {
        Self::start_with(StackOptions::default()).await
    }

    /// A stack in which nothing moves but by the test's hand: no worker, no scheduler.
    pub async fn still() -> Self {
        Self::start_with(StackOptions::still()).await
    }

    /// The same, at a time that the test moves too.
    pub async fn still_at(clock: &Clock) -> Self {
        Self::start_with(StackOptions {
            clock: clock.clone(),
            ..StackOptions::still()
        })
        .await
    }

    /// The same, from this moment on.
    pub async fn still_now() -> (Self, Clock) {
        let clock = Clock::manual(Clock::system().now());
        (Self::still_at(&clock).await, clock)
    }

    pub async fn start_with(options: StackOptions) -> Self {
        let name = format!("t{}", uuid::Uuid::now_v7().simple());
        servers().await.create_database(&name).await;
        let database = connect_database(&name, &options).await;
        let clock = options.clock.clone();
        database.align_clock(&clock).await.unwrap();
        let gate = connect_gate(&name, &options).await;
        let mut running = JoinSet::new();
        let (api, parts) = (CancellationToken::new(), CancellationToken::new());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let api_url = format!("http://{}", listener.local_addr().unwrap());
        let api_options = api_options(&options, &api_url);
        let state = ApiState::new(database.clone(), gate.clone(), clock.clone(), &api_options);
        let token = api.clone();
        let served = state.clone();
        running.spawn(async move {
            serve(listener, router(served), token, Duration::from_secs(1))
                .await
                .unwrap();
        });
        let admin_key = create_admin_key(&database, &clock).await;
        let mut stack = Self {
            admin: Caller::new(&api_url, Some(&admin_key)),
            name,
            api_url,
            database,
            gate,
            clock,
            cluster: Cluster::start().await,
            options,
            state,
            cursors: Cursors::default(),
            mails: tempfile::tempdir().unwrap(),
            api,
            parts,
            running,
            finished: false,
        };
        stack.start_parts().await;
        stack
    }

    /// Waits until the audit log was told of every job that was ordered.
    pub async fn told(&self) {
        self.state.finish().await;
    }

    /// Starts another API beside the first, with connections of its own, and answers where it is.
    pub async fn another_api(&mut self) -> String {
        let database = self.connect_database().await;
        let gate = connect_gate(&self.name, &self.options).await;
        let options = api_options(&self.options, &self.api_url);
        let state = ApiState::new(database.clone(), gate, self.clock.clone(), &options);
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let token = self.api.clone();
        self.running.spawn(async move {
            serve(listener, router(state), token, Duration::from_secs(1))
                .await
                .unwrap();
            database.close().await;
        });
        format!("http://{address}")
    }

    /// Connects to the database as one more process does.
    pub async fn connect_database(&self) -> Database {
        connect_database(&self.name, &self.options).await
    }

    async fn start_parts(&mut self) {
        if self.options.scheduler {
            self.start_scheduler();
        } else {
            // Opens the gate; from here on the test moves the loops itself.
            self.tick().await;
        }
        for _ in 0..self.options.workers {
            self.start_worker(self.parts.clone()).await;
        }
    }

    pub fn start_scheduler(&mut self) {
        let (scheduler, token) = (Scheduler::new(self.context()), self.parts.clone());
        self.running
            .spawn(async move { scheduler.run(token).await.unwrap() });
    }

    /// Starts a worker that runs until `shutdown`.
    pub async fn start_worker(&mut self, shutdown: CancellationToken) -> WorkerId {
        self.start_worker_of("default", &[], shutdown).await
    }

    /// Those of the jobs that the gate does not know. Good for as many as one look shows.
    pub async fn unknown_to_gate(&self, ids: &[JobId]) -> Vec<JobId> {
        let (_, known) = self.gate.known(0).await.unwrap();
        let is_known = |id: &JobId| known.iter().any(|(_, one)| one == id);
        ids.iter().copied().filter(|id| !is_known(id)).collect()
    }

    /// Starts a worker of this pool that takes these kinds; all of its queue's if none is named.
    pub async fn start_worker_of(
        &mut self,
        pool: &str,
        kinds: &[&str],
        shutdown: CancellationToken,
    ) -> WorkerId {
        let kinds: Vec<String> = kinds.iter().map(|kind| (*kind).to_owned()).collect();
        let services = WorkerServices {
            database: self.database.clone(),
            gate: self.gate.clone(),
            cluster: self.cluster.client().await,
            mailer: self.mailer(),
            clock: self.clock.clone(),
        };
        let options = WorkerOptions {
            pool: pool.to_owned(),
            assignment: Assignment::of(pool, None, &kinds).unwrap(),
            host: "test".to_owned(),
            concurrency: self.options.concurrency,
            lease: self.options.lease,
            drain: Duration::from_millis(200),
        };
        let worker = Worker::new(services, options);
        let id = worker.id();
        self.running
            .spawn(async move { worker.run(shutdown).await.unwrap() });
        id
    }

    /// Makes the tokens that are in this stack's mails.
    pub fn mail_tokens() -> MailTokens {
        MailTokens::new(&Secret::new(SECRET_KEY))
    }

    fn mailer(&self) -> Mailer {
        let smtp_url = self.options.smtp_url.as_ref().map(Secret::new);
        let settings = MailSettings {
            folder: smtp_url.is_none().then(|| self.mails.path().to_owned()),
            smtp_url,
            from: "Unity <unity@unity.test>".to_owned(),
            public_url: Some("https://unity.test/".to_owned()),
            secret_key: Secret::new(SECRET_KEY),
        };
        Mailer::new(&settings).unwrap()
    }

    pub fn context(&self) -> Context {
        Context {
            database: self.database.clone(),
            gate: self.gate.clone(),
            clock: self.clock.clone(),
            lease: self.options.lease,
            cursors: self.cursors.clone(),
        }
    }

    /// Runs every loop of the scheduler once.
    pub async fn tick(&self) {
        run_all_once(&self.context()).await.unwrap();
    }

    /// Creates a tenant over the API and answers its administrator's caller.
    pub async fn create_tenant(&self, id: &str) -> Caller {
        let created = self
            .admin
            .post("/api/v1/tenants", &tenant_body(id))
            .await
            .expect(201);
        self.admin.with_key(&created.text_of("api_key"))
    }

    /// A caller with another role in the same tenant.
    pub async fn caller_with_role(&self, tenant: &str, role: Role) -> Caller {
        let tenant = tenant.parse().unwrap();
        let key = ApiKey::generate(Some(&tenant));
        let mut tx = self.database.operator().begin().await.unwrap();
        insert_api_key(&mut tx, Some(&tenant), role, "test", &key, self.clock.now())
            .await
            .unwrap();
        tx.commit().await.unwrap();
        self.admin.with_key(key.reveal())
    }

    /// Enqueues a probe and answers its id.
    pub async fn probe(&self, caller: &Caller, payload: Value) -> String {
        let body = json!({ "kind": "probe", "payload": payload });
        caller
            .post("/api/v1/jobs", &body)
            .await
            .expect(202)
            .text_of("id")
    }

    /// Puts a switch on.
    pub async fn put_switch_on(&self, scope: Value, action: &str, lasting: TimeDelta) -> Answer {
        let order = json!({
            "scope": scope, "action": action, "reason": "maintenance of the lake",
            "expires_at": self.clock.now() + lasting,
        });
        let answer = self.admin.post("/api/v1/switches", &order).await;
        answer.expect(201)
    }

    /// Takes no more jobs of this scope in for an hour; answers the switch's address.
    pub async fn drain(&self, scope: Value) -> String {
        let switch = self.put_switch_on(scope, "drain", TimeDelta::hours(1));
        switch.await.header("location").to_owned()
    }

    /// Waits for a job to end and answers it.
    pub async fn ended(&self, caller: &Caller, id: &str) -> Value {
        eventually(&format!("job {id} ends"), || async {
            let job = caller
                .get(&format!("/api/v1/jobs/{id}?wait=10"))
                .await
                .expect(200)
                .json;
            let ended = ["succeeded", "failed", "cancelled", "superseded"];
            ended
                .contains(&job["status"].as_str().unwrap())
                .then_some(job)
        })
        .await
    }

    /// Waits until no job of any tenant is unfinished, those that provision namespaces included.
    pub async fn all_ended(&self) {
        eventually("every job ends", || async {
            let left = "SELECT count(*) FROM jobs WHERE finished_at IS NULL";
            (self.count(left).await == 0).then_some(())
        })
        .await;
    }

    /// Waits until a job has a status and answers it.
    pub async fn reaches(&self, caller: &Caller, id: &str, status: &str) -> Value {
        eventually(&format!("job {id} is {status}"), || async {
            let job = caller
                .get(&format!("/api/v1/jobs/{id}"))
                .await
                .expect(200)
                .json;
            (job["status"] == status).then_some(job)
        })
        .await
    }

    /// A connection as the owner, who sees every row.
    pub async fn owner(&self) -> PgConnection {
        let url = servers().await.owner_url(&self.name);
        PgConnectOptions::from_str(&url)
            .unwrap()
            .connect()
            .await
            .unwrap()
    }

    /// A connection of the application's own role.
    pub async fn app(&self) -> PgConnection {
        let url = servers().await.app_url(&self.name);
        PgConnectOptions::from_str(&url)
            .unwrap()
            .connect()
            .await
            .unwrap()
    }

    /// A number from the database, read as its owner.
    pub async fn count(&self, sql: &'static str) -> i64 {
        sqlx::query_scalar(sql)
            .fetch_one(&mut self.owner().await)
            .await
            .unwrap()
    }

    /// Empties Redis as far as this test's keys go.
    pub async fn wipe_redis(&self) {
        let client = redis::Client::open(servers().await.redis_url()).unwrap();
        let mut connection = client.get_multiplexed_async_connection().await.unwrap();
        let pattern = format!("{PREFIX}{}:*", self.name);
        let keys: Vec<String> = redis::cmd("KEYS")
            .arg(pattern)
            .query_async(&mut connection)
            .await
            .unwrap();
        if !keys.is_empty() {
            redis::cmd("DEL")
                .arg(keys)
                .exec_async(&mut connection)
                .await
                .unwrap();
        }
    }

    /// The settings file with which a process joins this stack.
    pub async fn settings_toml(&self) -> String {
        let servers = servers().await;
        format!(
            "database_url = {:?}\nplatform_database_url = {:?}\nredis_url = {:?}\n\
             redis_prefix = \"{PREFIX}{}\"\nsecret_key = {SECRET_KEY:?}\nkubeconfig = {:?}\n\
             lease_seconds = {}\nprobe_jobs = true\nlisten = \"127.0.0.1:0\"\n\
             ops_listen = \"127.0.0.1:0\"\ndrain_seconds = 2\n",
            servers.app_url(&self.name),
            servers.platform_url(&self.name),
            servers.redis_url(),
            self.name,
            self.cluster.kubeconfig.display().to_string(),
            self.options.lease.as_secs(),
        )
    }

    /// The same gate without the proxy that a test may have put in front of Redis.
    pub async fn direct_gate(&self) -> Gate {
        let direct = StackOptions {
            redis_at: None,
            ..self.options.clone()
        };
        connect_gate(&self.name, &direct).await
    }

    /// Stops everything and fails the test if a job was left unfinished.
    pub async fn finish(self) {
        self.all_ended().await;
        self.stop().await;
    }

    /// A cluster that outlives the test must not keep namespaces whose tenants are gone.
    async fn remove_namespaces(&self) {
        if self.cluster.simulator.is_some() {
            return;
        }
        let tenants: Vec<String> = sqlx::query_scalar("SELECT id FROM tenants")
            .fetch_all(&mut self.owner().await)
            .await
            .unwrap();
        let namespaces: kube::Api<k8s_openapi::api::core::v1::Namespace> =
            kube::Api::all(self.cluster.kube().await);
        for tenant in tenants {
            let name = format!("tenant-{tenant}");
            // Most of them were never made.
            let _ = namespaces
                .delete(&name, &kube::api::DeleteParams::default())
                .await;
            eventually(&format!("{name} is gone"), || async {
                namespaces
                    .get_opt(&name)
                    .await
                    .unwrap()
                    .is_none()
                    .then_some(())
            })
            .await;
        }
    }

    /// Tells the API to stop, and nothing else.
    pub fn stop_api(&self) {
        self.api.cancel();
    }

    /// Stops everything; jobs may be left.
    pub async fn stop(mut self) {
        self.finished = true;
        self.parts.cancel();
        self.api.cancel();
        while let Some(ended) = self.running.join_next().await {
            ended.unwrap();
        }
        self.database.close().await;
        self.remove_namespaces().await;
        servers().await.drop_database(&self.name).await;
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        assert!(
            self.finished || std::thread::panicking(),
            "end the test with finish or stop"
        );
    }
}

pub fn tenant_body(id: &str) -> Value {
    // A test is not held up by how fast it asks; `surface::rate_limits` has tenants of its own.
    json!({
        "id": id, "name": format!("Tenant {id}"), "plan": "pro",
        "resource_quota": { "api_calls_per_hour": QUOTA_MAX },
    })
}

async fn create_admin_key(database: &Database, clock: &Clock) -> String {
    let key = ApiKey::generate(None);
    let mut tx = database.operator().begin().await.unwrap();
    insert_api_key(&mut tx, None, Role::SystemAdmin, "test", &key, clock.now())
        .await
        .unwrap();
    tx.commit().await.unwrap();
    key.reveal().to_owned()
}

/// Looks again until `look` answers something, or fails after half a minute. The pause between two
/// looks is no synchronisation: what is waited for is a level, not a moment.
pub async fn eventually<T, F, Fut>(what: &str, look: F) -> T
where
    F: Fn() -> Fut,
    Fut: Future<Output = Option<T>>,
{
    let deadline = tokio::time::Instant::now() + Duration::from_secs(30);
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(
            tokio::time::Instant::now() < deadline,
            "did not happen in 30 seconds: {what}"
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
