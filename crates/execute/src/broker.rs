//! A child that gets a credential from a server that gives them, and takes it back.
//!
//! It holds the secret that opens the server, and no target. What was lent is taken back when the guard closes this process's
//! standard input. If we crash here: the guard has written down by what to take it back, and has another child do it.

mod aws;
mod http;
mod oauth;
mod openbao;

use std::fs::File;
use std::io::{self, Write as _};
use std::os::fd::AsFd as _;
use std::process::ExitCode;

use wire::broker::{Ask, BROKER_LIMIT, Broker, Give, Told};
use wire::frame::{self, FrameError};
use wire::order::{CREDENTIAL_LIMIT, Go};
use wire::target::Address;
use zeroize::Zeroizing;

use crate::confine;

/// A credential that came, and what replaces the secret by which it was asked for.
struct Given {
    credential: Zeroizing<Vec<u8>>,
    replaced: Option<Zeroizing<Vec<u8>>>,
}

/// The whole life of a broker's process.
pub fn main() -> ExitCode {
    confine::first();
    let Ok(mut stdin) = io::stdin().as_fd().try_clone_to_owned().map(File::from) else { return ExitCode::FAILURE };
    let Ok(ask) = frame::read::<Ask>(&mut stdin, BROKER_LIMIT) else { return ExitCode::FAILURE };
    let Ok(secret) = frame::read_bytes(&mut stdin, CREDENTIAL_LIMIT).map(Zeroizing::new) else {
        return ExitCode::FAILURE;
    };
    let (Ask::Fetch { broker, .. } | Ask::TakeBack { broker, .. }) = &ask;
    let done = confine::second(&reached(broker)).map(|_| ()).and_then(|()| {
        broker.check().map_err(str::to_owned)?;
        let secret = std::str::from_utf8(&secret).map_err(|_| "the secret that opens the server is no text")?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.map_err(|error| error.to_string())?.block_on(perform(&ask, secret, &mut stdin))
    });
    let told = match done {
        Ok(()) => Ok(()),
        Err(detail) => tell(&Told::Failed { detail: artifact::visible(&detail).chars().take(300).collect() }),
    };
    if told.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// What confinement asks of an address.
fn reached(broker: &Broker) -> Address {
    Address::Http {
        origin: broker.origin.clone(),
        requests: Vec::new(),
        credential_header: None,
        credential_prefix: String::new(),
        private: broker.private,
        ca_file: broker.ca_file.clone(),
        openapi: None,
        aws: None,
    }
}

async fn perform(ask: &Ask, secret: &str, stdin: &mut File) -> Result<(), String> {
    match ask {
        Ask::TakeBack { broker, handle } => {
            openbao::take_back(broker, secret, handle).await?;
            tell(&Told::Returned {}).map_err(|error| error.to_string())
        }
        Ask::Fetch { broker, session } => match &broker.give {
            Give::OpenbaoDatabase { .. } => openbao::lend(broker, secret, stdin).await,
            Give::OpenbaoKv { .. } => give(&openbao::read(broker, secret).await?, None),
            Give::AwsSecret { .. } => give(&aws::secret(broker, secret).await?, None),
            Give::AwsRole { .. } => give(&aws::role(broker, secret, session).await?, None),
            Give::Oauth { .. } => give(&oauth::token(broker, secret).await?, None),
        },
    }
}

fn tell(told: &Told) -> Result<(), FrameError> {
    frame::write(&mut io::stdout().lock(), told, BROKER_LIMIT)
}

/// Asks the guard whether to go on, which has it written down by then.
fn announce(handle: &str, stdin: &mut File) -> Result<(), String> {
    tell(&Told::Announced { handle: handle.to_owned() }).map_err(|error| error.to_string())?;
    let go = frame::read::<Go>(stdin, 1024).is_ok_and(|go| go.commit);
    if go { Ok(()) } else { Err("the guard said no".to_owned()) }
}

fn give(given: &Given, lease: Option<&str>) -> Result<(), String> {
    let replaced = given.replaced.is_some();
    let told = Told::Given { lease: lease.map(str::to_owned), replaced };
    let write = || -> Result<(), FrameError> {
        tell(&told)?;
        let mut out = io::stdout().lock();
        for bytes in [Some(&given.credential), given.replaced.as_ref()].into_iter().flatten() {
            let length = u32::try_from(bytes.len()).map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?;
            out.write_all(&length.to_be_bytes())?;
            out.write_all(bytes)?;
        }
        Ok(out.flush()?)
    };
    write().map_err(|error| error.to_string())
}
