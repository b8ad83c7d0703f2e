//! `PUT /bundles/{sha256}`: one bundle, unpacked within limits and checked against its digest.

use super::{
    ReceivedBundle,
    session::{Session, failure},
};
use bytes::Bytes;
use flate2::read::GzDecoder;
use http::{Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use lapdev_api::{bundle::Bundle, digest::Digest, wire::MAX_BUNDLE};
use lapdev_tunnel::body::{self, Body};
use std::{io::Read, time::Duration};

/// For the whole transfer; a broken one comes again in the next session.
const PATIENCE: Duration = Duration::from_secs(300);

/// Why the bytes are not the bundle.
#[derive(Debug, thiserror::Error)]
enum UnpackError {
    #[error("the bundle is no gzip stream")]
    Gzip(#[source] std::io::Error),
    #[error("the bundle is larger than {MAX_BUNDLE} bytes")]
    TooLarge,
    #[error("the bundle's digest is {0}, not the announced one")]
    Digest(Digest),
    #[error("the bundle is not of a form that this agent knows; upgrade the agent")]
    Form(#[source] serde_json::Error),
}

/// Keeps the bundle, or says why not.
pub(super) async fn answer(session: &Session, digest: &str, request: Request<Incoming>) -> Response<Body> {
    let Ok(digest) = digest.parse::<Digest>() else {
        return failure(StatusCode::BAD_REQUEST, "digest", "the path names no digest");
    };
    let Ok(_permit) = session.bundles.acquire().await else {
        return failure(StatusCode::SERVICE_UNAVAILABLE, "ended", "the session ends");
    };
    let zipped = request.headers().get(header::CONTENT_ENCODING).is_some_and(|v| v == "gzip");
    let limited = Limited::new(request.into_body(), MAX_BUNDLE).collect();
    let bytes = match tokio::time::timeout(PATIENCE, limited).await {
        Err(_) => return failure(StatusCode::REQUEST_TIMEOUT, "slow", "the bundle did not arrive in time"),
        Ok(Err(error)) => return failure(StatusCode::BAD_REQUEST, "broken", &error.to_string()),
        Ok(Ok(collected)) => collected.to_bytes(),
    };
    // Hashing and parsing take long enough to hold up the connection's own task.
    let unpacked = tokio::task::spawn_blocking(move || unpack(&bytes, zipped, digest)).await;
    let bundle = match unpacked {
        Ok(Ok(bundle)) => bundle,
        Ok(Err(error)) => return failure(StatusCode::UNPROCESSABLE_ENTITY, "bundle", &error.to_string()),
        Err(_) => return failure(StatusCode::INTERNAL_SERVER_ERROR, "bundle", "unpacking the bundle failed"),
    };
    match session.parts.cluster.accept_bundle(bundle).await {
        Ok(()) => {
            let mut response = Response::new(body::empty());
            *response.status_mut() = StatusCode::NO_CONTENT;
            response
        }
        Err(cause) => failure(StatusCode::UNPROCESSABLE_ENTITY, "refused", &cause),
    }
}

fn unpack(bytes: &Bytes, zipped: bool, digest: Digest) -> Result<ReceivedBundle, UnpackError> {
    let bytes = if zipped { gunzip(bytes)? } else { bytes.clone() };
    let found = Digest::of(&bytes);
    if found != digest {
        return Err(UnpackError::Digest(found));
    }
    let bundle: Bundle = serde_json::from_slice(&bytes).map_err(UnpackError::Form)?;
    Ok(ReceivedBundle { digest, bytes, bundle })
}

fn gunzip(bytes: &Bytes) -> Result<Bytes, UnpackError> {
    let mut plain = Vec::new();
    let limit = MAX_BUNDLE as u64 + 1;
    GzDecoder::new(bytes.as_ref()).take(limit).read_to_end(&mut plain).map_err(UnpackError::Gzip)?;
    if plain.len() > MAX_BUNDLE {
        return Err(UnpackError::TooLarge);
    }
    Ok(plain.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::{Compression, write::GzEncoder};
    use std::io::Write;

    fn gzip(bytes: &[u8]) -> Bytes {
        let mut encoder = GzEncoder::new(vec![], Compression::fast());
        encoder.write_all(bytes).expect("memory");
        encoder.finish().expect("memory").into()
    }

    #[test]
    fn a_bundle_of_another_digest_is_refused() {
        let error = unpack(&gzip(b"{}"), true, Digest::of(b"other")).expect_err("another digest");
        assert!(matches!(error, UnpackError::Digest(found) if found == Digest::of(b"{}")));
    }

    #[test]
    fn a_gzip_bomb_is_cut_off() {
        let bomb = gzip(&vec![0; MAX_BUNDLE + 2]);
        assert!(bomb.len() < 1 << 20);
        assert!(matches!(unpack(&bomb, true, Digest::of(b"")), Err(UnpackError::TooLarge)));
    }
}
