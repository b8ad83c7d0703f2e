//! The namespace's Services as their EndpointSlices tell them, and what each is to the table.

use super::{
    RoutedTarget, Slice,
    endpoint::{Readiness, usable},
};
use crate::count::Life;
use std::{collections::HashMap, net::SocketAddr, sync::Arc};

/// What a Service is to the table.
#[derive(Debug, Clone)]
pub(super) enum Role {
    /// The baseline of this routed Service.
    Baseline(Arc<str>),
    /// A branch's own of this routed Service.
    Branch(Arc<str>, Arc<Life>),
}

#[derive(Debug, Default)]
struct State {
    slices: Vec<Slice>,
    role: Option<Role>,
}

#[derive(Debug, Default)]
pub(super) struct Services {
    by_name: HashMap<Arc<str>, State>,
    /// Each slice's Service, and the listing that it was last seen in.
    slices: HashMap<Arc<str>, (Arc<str>, u32)>,
    listing: u32,
}

impl Services {
    /// Takes a slice in; the Services that this changes.
    pub(super) fn put(&mut self, mut slice: Slice) -> Vec<Arc<str>> {
        let mut changed = Vec::new();
        if let Some((service, seen)) = self.slices.get_mut(&slice.name) {
            *seen = self.listing;
            if *service != slice.service {
                changed.extend(self.remove(&slice.name.clone()));
            }
        }
        // One allocation for a Service's name, however many slices it has.
        if let Some((name, _)) = self.by_name.get_key_value(&slice.service) {
            slice.service = name.clone();
        }
        let state = self.by_name.entry(slice.service.clone()).or_default();
        match state.slices.iter_mut().find(|known| known.name == slice.name) {
            Some(known) if *known == slice => return changed,
            Some(known) => {
                slice.name = known.name.clone();
                changed.push(slice.service.clone());
                *known = slice;
            }
            None => {
                self.slices.insert(slice.name.clone(), (slice.service.clone(), self.listing));
                changed.push(slice.service.clone());
                // Most Services have one slice.
                state.slices.reserve_exact(1);
                state.slices.push(slice);
            }
        }
        changed
    }

    /// Forgets a slice; the Service that this changes.
    pub(super) fn remove(&mut self, name: &str) -> Option<Arc<str>> {
        let (service, _) = self.slices.remove(name)?;
        if let Some(state) = self.by_name.get_mut(&service) {
            state.slices.retain(|slice| *slice.name != *name);
        }
        self.tidy(&service);
        Some(service)
    }

    /// From here on [`Self::put`] is of a complete listing.
    pub(super) fn begin_listing(&mut self) {
        self.listing = self.listing.wrapping_add(1);
    }

    /// Forgets what the listing had not; the Services that this changes.
    pub(super) fn end_listing(&mut self) -> Vec<Arc<str>> {
        let gone = self.slices.iter().filter(|(_, (_, seen))| *seen != self.listing);
        let gone: Vec<Arc<str>> = gone.map(|(name, _)| name.clone()).collect();
        gone.iter().filter_map(|name| self.remove(name)).collect()
    }

    pub(super) fn set_role(&mut self, service: &str, role: Role) {
        match self.by_name.get_mut(service) {
            Some(state) => state.role = Some(role),
            None => {
                self.by_name.insert(service.into(), State { slices: Vec::new(), role: Some(role) });
            }
        }
    }

    pub(super) fn clear_role(&mut self, service: &str) {
        if let Some(state) = self.by_name.get_mut(service) {
            state.role = None;
        }
        self.tidy(service);
    }

    fn tidy(&mut self, service: &str) {
        if self.by_name.get(service).is_some_and(|state| state.slices.is_empty() && state.role.is_none()) {
            self.by_name.remove(service);
        }
    }

    pub(super) fn role(&self, service: &str) -> Option<&Role> {
        self.by_name.get(service)?.role.as_ref()
    }

    /// Whether the Service exists, as far as slices tell: the controller keeps an empty one for a Service without pods.
    pub(super) fn exists(&self, service: &str) -> bool {
        self.by_name.get(service).is_some_and(|state| !state.slices.is_empty())
    }

    /// The addresses to use of a Service's port.
    pub(super) fn usable(&self, service: &str, target: &RoutedTarget) -> Vec<SocketAddr> {
        let slices = self.by_name.get(service).map_or(&[][..], |state| &state.slices);
        let all: Vec<_> = slices.iter().flat_map(|slice| of_port(slice, &target.port.name)).collect();
        usable(&all)
    }
}

fn of_port<'a>(slice: &'a Slice, name: &str) -> impl Iterator<Item = (SocketAddr, Readiness)> + use<'a> {
    let port = slice.port(name);
    let addresses = slice.addresses.iter();
    addresses.filter_map(move |address| Some((SocketAddr::new(address.ip, port?), address.readiness)))
}
