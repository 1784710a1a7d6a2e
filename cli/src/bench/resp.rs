//! The least that a Redis client can be, for what a benchmark asks of it: the cost of a call without a
//! client library's own, and a look at the server's counters.

use anyhow::{Context as _, Result, anyhow, bail};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::TcpStream,
};

/// Removes all keys that match, and says how many. A script's table is unpacked in parts that Lua can pass.
const REMOVE: &str = "
local cursor, removed = '0', 0
repeat
  local found = redis.call('SCAN', cursor, 'MATCH', ARGV[1], 'COUNT', 1000)
  cursor = found[1]
  for first = 1, #found[2], 1000 do
    removed = removed + redis.call('UNLINK', unpack(found[2], first, math.min(first + 999, #found[2])))
  end
until cursor == '0'
return removed";

/// A connection.
pub(super) struct Redis {
    stream: BufReader<TcpStream>,
}

/// An answer, as far as it is of interest here.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Reply {
    Text(Vec<u8>),
    Number(i64),
    Nil,
    List(Vec<Reply>),
}

impl Redis {
    /// Connects to `redis://[user][:password]@host[:port][/database]`.
    pub(super) async fn connect(url: &str) -> Result<Self> {
        let Place {
            address,
            login,
            database,
        } = Place::parse(url)
            .context("the Redis URL must be redis://[user][:password]@host[:port][/number]")?;
        let stream = TcpStream::connect(&address)
            .await
            .with_context(|| format!("could not connect to Redis at {address}"))?;
        stream.set_nodelay(true)?;
        let mut redis = Self {
            stream: BufReader::new(stream),
        };
        if let Some((user, password)) = login {
            redis.call(&["AUTH", &user, &password]).await?;
        }
        redis.call(&["SELECT", &database]).await?;
        Ok(redis)
    }

    /// One command and its answer.
    pub(super) async fn call(&mut self, words: &[&str]) -> Result<Reply> {
        self.send(&command(words)).await?;
        self.reply().await
    }

    /// Sends commands that were written before.
    pub(super) async fn send(&mut self, commands: &[u8]) -> Result<()> {
        self.stream.get_mut().write_all(commands).await?;
        Ok(())
    }

    /// The next answer. One that says that something is wrong is an error.
    pub(super) async fn reply(&mut self) -> Result<Reply> {
        let line = self.line().await?;
        let (kind, rest) = line.split_at_checked(1).context("Redis said nothing")?;
        let number = || rest.parse::<i64>().context("Redis sent no number");
        match kind {
            "+" => Ok(Reply::Text(rest.as_bytes().to_vec())),
            "-" => Err(anyhow!("Redis refused: {rest}")),
            ":" => Ok(Reply::Number(number()?)),
            "$" => self.text(number()?).await,
            "*" => {
                let mut list = Vec::new();
                for _ in 0..number()? {
                    list.push(Box::pin(self.reply()).await?);
                }
                Ok(Reply::List(list))
            }
            other => bail!("Redis sent an answer of an unknown kind: {other}"),
        }
    }

    async fn text(&mut self, length: i64) -> Result<Reply> {
        let Ok(length) = usize::try_from(length) else {
            return Ok(Reply::Nil);
        };
        let mut text = vec![0; length + 2];
        self.stream.read_exact(&mut text).await?;
        text.truncate(length);
        Ok(Reply::Text(text))
    }

    async fn line(&mut self) -> Result<String> {
        let mut line = String::new();
        if self.stream.read_line(&mut line).await? == 0 {
            bail!("Redis closed the connection");
        }
        line.truncate(line.trim_end().len());
        Ok(line)
    }

    /// Removes every key behind `prefix`, at one moment, as `FLUSHALL` does: a gate that was filled anew while
    /// its old keys were still being removed would lose some of the new ones.
    pub(super) async fn remove_keys(&mut self, prefix: &str) -> Result<()> {
        let pattern = format!("{prefix}:*");
        match self.call(&["EVAL", REMOVE, "0", &pattern]).await? {
            Reply::Number(_) => Ok(()),
            other => bail!("Redis answered the removal of keys with {other:?}"),
        }
    }

    pub(super) async fn version(&mut self) -> Result<String> {
        self.info("server", "redis_version").await
    }

    pub(super) async fn append_only(&mut self) -> Result<bool> {
        Ok(self.info("persistence", "aof_enabled").await? == "1")
    }

    /// Commands that the server has carried out since its start, those of scripts included, and reads
    /// from clients, which are round trips.
    pub(super) async fn counters(&mut self) -> Result<(u64, u64)> {
        let commands = self.info("stats", "total_commands_processed").await?;
        let reads = self.info("stats", "total_reads_processed").await?;
        let number = |text: &str| text.parse().context("Redis counts in no number");
        Ok((number(&commands)?, number(&reads)?))
    }

    async fn info(&mut self, section: &str, field: &str) -> Result<String> {
        let answer = self.call(&["INFO", section]).await?;
        let text = answer.to_text().unwrap_or_default();
        let value = text.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            (name == field).then(|| value.trim().to_owned())
        });
        value.with_context(|| format!("Redis does not tell {field}"))
    }
}

impl Reply {
    pub(super) fn to_text(&self) -> Option<String> {
        match self {
            Self::Text(text) => Some(String::from_utf8_lossy(text).into_owned()),
            Self::Number(_) | Self::Nil | Self::List(_) => None,
        }
    }
}

/// A command as it is sent.
pub(super) fn command(words: &[&str]) -> Vec<u8> {
    let mut bytes = format!("*{}\r\n", words.len()).into_bytes();
    for word in words {
        bytes.extend_from_slice(format!("${}\r\n{word}\r\n", word.len()).as_bytes());
    }
    bytes
}

struct Place {
    address: String,
    login: Option<(String, String)>,
    database: String,
}

impl Place {
    fn parse(url: &str) -> Option<Self> {
        let rest = url.strip_prefix("redis://")?;
        let (login, rest) = match rest.rsplit_once('@') {
            Some((login, rest)) => (Some(login.split_once(':')?), rest),
            None => (None, rest),
        };
        let (host, database) = rest.split_once('/').unwrap_or((rest, ""));
        let has_port = host
            .rsplit_once(':')
            .is_some_and(|(_, port)| port.parse::<u16>().is_ok());
        let address = if has_port {
            host.to_owned()
        } else {
            format!("{host}:6379")
        };
        let login = login.map(|(user, password)| {
            let user = if user.is_empty() { "default" } else { user };
            (user.to_owned(), password.to_owned())
        });
        let database = if database.is_empty() { "0" } else { database };
        Some(Self {
            address,
            login,
            database: database.to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_taken_apart_and_what_is_missing_has_its_default() {
        let place = Place::parse("redis://:secret@[::1]:7/3").unwrap();
        assert_eq!(place.address, "[::1]:7");
        assert_eq!(
            place.login,
            Some(("default".to_owned(), "secret".to_owned()))
        );
        assert_eq!(place.database, "3");
        let place = Place::parse("redis://localhost").unwrap();
        assert_eq!((&*place.address, &*place.database), ("localhost:6379", "0"));
        assert!(Place::parse("rediss://localhost").is_none());
    }

    #[test]
    fn a_command_counts_its_words_and_their_bytes() {
        assert_eq!(
            command(&["GET", "é"]),
            "*2\r\n$3\r\nGET\r\n$2\r\né\r\n".as_bytes()
        );
    }
}
