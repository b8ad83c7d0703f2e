//! Listens, for both families where the system has both. An address of IPv6 takes IPv4 as well; its peers then look like
//! `::ffff:10.0.0.1`, and whoever needs their address takes its canonical form.

use rustix::net::sockopt;
use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
};
use tokio::net::{TcpListener, TcpSocket};

/// Connections that the system holds until they are accepted.
const BACKLOG: u32 = 4096;

/// Listens there. Must be called within a tokio runtime.
///
/// # Errors
/// If the system says no.
pub fn on(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    if address.is_ipv6() {
        // Whatever the system's default is.
        sockopt::set_ipv6_v6only(&socket, false)?;
    }
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// Every address of this machine: `::`, or `0.0.0.0` where IPv6 is off. Must be called within a tokio runtime.
#[must_use]
pub fn everywhere() -> IpAddr {
    widest(|address| on((address, 0).into()).map(drop))
}

fn widest(can: impl Fn(IpAddr) -> io::Result<()>) -> IpAddr {
    let both = IpAddr::V6(Ipv6Addr::UNSPECIFIED);
    match can(both) {
        Ok(()) => both,
        Err(error) => {
            tracing::info!(%error, "there is no IPv6: IPv4 alone is listened on");
            Ipv4Addr::UNSPECIFIED.into()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::io::Errno;
    use tokio::net::TcpStream;

    #[test]
    fn without_ipv6_it_is_ipv4_alone() {
        for off in [Errno::AFNOSUPPORT, Errno::ADDRNOTAVAIL] {
            let can = |address: IpAddr| if address.is_ipv6() { Err(off.into()) } else { Ok(()) };
            assert_eq!(widest(can).to_string(), "0.0.0.0");
        }
        assert_eq!(widest(|_| Ok(())).to_string(), "::");
    }

    #[tokio::test]
    async fn everywhere_is_reached_by_every_family_that_there_is() {
        let listener = on((everywhere(), 0).into()).expect("a free port");
        let port = listener.local_addr().expect("it is bound").port();
        let mut reached = vec![IpAddr::from(Ipv4Addr::LOCALHOST)];
        if everywhere().is_ipv6() {
            reached.push(Ipv6Addr::LOCALHOST.into());
        }
        for address in reached {
            let both = tokio::try_join!(TcpStream::connect((address, port)), listener.accept());
            let (_client, (_, from)) = both.expect("it listens and accepts");
            assert_eq!(from.ip().to_canonical(), address);
        }
    }
}
