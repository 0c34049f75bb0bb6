//! Where providers are reached: at their own addresses, or where the operator says.

use url::Url;

use super::Provider;

/// An address that a provider is reached at. An operator may set another one.
#[derive(Clone, Copy, Debug)]
pub struct Host {
    /// The provider's own word for it, `api` or `auth`.
    pub name: &'static str,
    /// Where it is, without a slash at the end.
    pub url: &'static str,
    /// The setting that moves it, `RELAY_SLACK_URL`.
    pub setting: &'static str,
}

/// Where one provider is reached, with what the operator changed.
#[derive(Clone, Debug, Default)]
pub struct Hosts(Vec<Address>);

#[derive(Clone, Debug)]
struct Address {
    name: &'static str,
    url: Url,
    /// Whether the operator set it.
    is_set: bool,
}

impl Hosts {
    /// The provider's own addresses, or those that `set` gives by the name of their setting.
    #[must_use]
    pub fn of(provider: &Provider, set: impl Fn(&str) -> Option<Url>) -> Self {
        let known = |host: &Host| Url::parse(host.url).expect("a provider's address is a URL");
        let address = |host: &Host| {
            let url = set(host.setting);
            let is_set = url.is_some();
            Address { name: host.name, url: url.unwrap_or_else(|| known(host)), is_set }
        };
        Self(provider.hosts.iter().map(address).collect())
    }

    /// The address of a path at one of them. Query and fragment belong to `Call::query`.
    ///
    /// # Panics
    /// When the provider has no host of that name: its own tests would show it.
    #[must_use]
    pub fn url(&self, name: &str, path: &str) -> Url {
        let known = self.0.iter().find(|known| known.name == name).expect("a host of the provider");
        under(&known.url, path)
    }

    /// Whether a URL lies at an address that the operator set.
    #[must_use]
    pub fn is_set(&self, url: &Url) -> bool {
        self.0.iter().any(|known| known.is_set && known.url.origin() == url.origin())
    }
}

/// A path below a base address, whose own path is kept.
#[must_use]
pub fn under(base: &Url, path: &str) -> Url {
    let mut url = base.clone();
    url.set_path(&format!("{}{}", base.path().trim_end_matches('/'), path));
    url
}
