//! The command line of `docent-local`.
#![allow(clippy::doc_markdown)] // these comments are the text of --help

use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, Subcommand};

use crate::cloud::{CloudConfig, LlmConfig};
use crate::deployment::Deployment;
use crate::llm::KEY_VARIABLE;

/// docent on a laptop: Workers AI, Vectorize, KV and D1 on loopback, and the Worker in front of them.
#[derive(Debug, Parser)]
#[command(name = "docent-local", version)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Action,
}

/// What `docent-local` can do.
#[derive(Debug, Subcommand)]
pub enum Action {
    /// Start the stand-in, and with --worker the bot; serve until Ctrl-C.
    ///
    /// Nothing here is Cloudflare: vectors come from a lexical embedder and answers from an extractive
    /// answerer, unless --model and --llm name better ones. Requests are taken from this machine only.
    Serve(Serve),
}

/// Arguments of `docent-local serve`.
#[derive(Debug, clap::Args)]
pub struct Serve {
    /// Built Worker to run in workerd: the folder with index.js. Without it, only the stand-in runs.
    #[arg(long, value_name = "DIR")]
    pub worker: Option<PathBuf>,

    /// Deployment file; its vars, index name, KV id, D1 database with its migrations, static assets and
    /// compatibility date are used.
    #[arg(long, value_name = "FILE", default_value = "wrangler.toml")]
    pub config: PathBuf,

    /// Port of the bot on 127.0.0.1; 0 takes a free one.
    #[arg(long, default_value_t = 8787)]
    pub port: u16,

    /// Port of the stand-in on 127.0.0.1; 0 takes a free one.
    #[arg(long, value_name = "PORT", default_value_t = 8788)]
    pub cloud_port: u16,

    /// Folder that keeps vectors, values, databases and the session secret; without it, memory does.
    #[arg(long, value_name = "DIR")]
    pub state: Option<PathBuf>,

    /// Folder of a BERT model that makes the vectors (model.safetensors, config.json), or `download`.
    ///
    /// `download` fetches bge-base-en-v1.5, the model that Workers AI runs, into the state folder
    /// (440 MB). Needs a build with `--features bert`. Each model has a database of its own there, so
    /// ingest again after changing it.
    #[arg(long, value_name = "DIR")]
    pub model: Option<PathBuf>,

    /// Markdown to show as pages below /docs/ of the stand-in, so that sources can be clicked.
    #[arg(long, value_name = "DIR")]
    pub docs: Option<PathBuf>,

    /// Server with OpenAI's chat API that writes the answers, such as http://127.0.0.1:11434/v1 (Ollama).
    ///
    /// A key, if it wants one, is read from DOCENT_LLM_KEY.
    #[arg(long, value_name = "URL")]
    pub llm: Option<String>,

    /// Model to ask of that server.
    #[arg(long, value_name = "NAME", default_value = "llama3.1", requires = "llm")]
    pub llm_model: String,

    /// AI Gateway that exists beside `default`; may be given again.
    #[arg(long, value_name = "ID")]
    pub gateway: Vec<String>,

    /// Setting of the bot, stronger than the one in the deployment file; may be given again.
    #[arg(long, value_name = "NAME=VALUE", value_parser = read_variable)]
    pub var: Vec<(String, String)>,

    /// Milliseconds until a write to Vectorize becomes visible.
    #[arg(long, value_name = "MS", default_value_t = 300)]
    pub visibility_delay_ms: u64,

    /// Milliseconds between two words of the extractive answerer.
    #[arg(long, value_name = "MS", default_value_t = 15)]
    pub token_delay_ms: u64,

    /// Take any number of writes of one KV key, where Cloudflare takes one a second.
    #[arg(long)]
    pub unlimited_kv_writes: bool,

    /// Run this once everything answers; should it fail, end with its exit code, unless that is 4.
    ///
    /// It finds in its environment what `docent ingest` needs: DOCENT_API_BASE, CLOUDFLARE_ACCOUNT_ID,
    /// CLOUDFLARE_API_TOKEN, DOCENT_KV_ID, DOCENT_INDEX and, with D1, DOCENT_D1_ID.
    #[arg(last = true, value_name = "COMMAND")]
    pub command: Vec<String>,
}

impl Serve {
    /// What the cloud is to be like.
    pub(crate) fn cloud(&self, deployment: &Deployment) -> CloudConfig {
        CloudConfig {
            port: self.cloud_port,
            state: self.state.clone(),
            visibility_delay: Duration::from_millis(self.visibility_delay_ms),
            token_delay: Duration::from_millis(self.token_delay_ms),
            gateways: self.gateway.clone(),
            databases: deployment.content.iter().cloned().collect(),
            model: self.model.clone(),
            vectors: None,
            docs: self.docs.clone(),
            llm: self.llm.clone().map(|url| LlmConfig {
                url,
                model: self.llm_model.clone(),
                key: std::env::var(KEY_VARIABLE).ok().filter(|key| !key.is_empty()),
            }),
            limit_kv_writes: !self.unlimited_kv_writes,
            family_shapes: true,
        }
    }
}

fn read_variable(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("expected NAME=VALUE".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_documentation_lists_every_option_with_its_default() {
        let page = include_str!("../../docs/local.md");
        let mut cli = Cli::command();
        cli.build();
        let serve = cli.find_subcommand("serve").unwrap();
        for option in serve.get_arguments().filter_map(|argument| Some((argument.get_long()?, argument))) {
            let (name, argument) = option;
            if name == "help" {
                continue;
            }
            let row = page
                .lines()
                .find(|line| line.starts_with(&format!("| `--{name} ")) || line.starts_with(&format!("| `--{name}`")));
            let row = row.unwrap_or_else(|| panic!("add --{name} to docs/local.md"));
            for default in argument.get_default_values().iter().filter(|_| argument.get_action().takes_values()) {
                assert!(row.contains(&format!("`{}`", default.to_str().unwrap())), "{row}");
            }
        }
    }
}
