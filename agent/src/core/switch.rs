//! The order in which what is due is applied, with the routing table following it. Services that stand in the cluster and are
//! now to be routed are switched only once routers listen for them, since from that moment on every new connection goes there;
//! and one whose router port another Service still uses waits until that has moved.

use super::{Core, Work, converge::Trouble, routers::Listening};
use crate::{
    apply::order,
    object::{Desired, Marks, ObjectId},
    registry::Environment,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

/// How long a pass waits for routers that are there to listen on the ports of the table that it just wrote.
const LISTEN: Duration = Duration::from_secs(2);

/// A base's due objects, by when they are applied.
#[derive(Debug, Default)]
struct Order {
    /// At once, in their stages.
    first: Vec<Desired>,
    /// Once routers listen: Services, and on which ports.
    switch: Vec<(Desired, BTreeSet<u16>)>,
    /// After the switch: NetworkPolicies in force, since those of a routed Service keep out who comes past the routers.
    after: Vec<Desired>,
}

impl Core {
    /// Applies these objects, and has the routing table follow: what is routed enters it before the Service is switched and
    /// leaves it after it was put back; a branch's Service enters it once it stands, and leaves it before it goes.
    pub(super) async fn apply(
        &self,
        held: &Environment,
        marks: &Marks,
        due: Vec<Desired>,
        fresh: bool,
        work: &mut Work,
    ) -> Result<(), Trouble> {
        self.route(held, work).await?;
        let mut order = self.order(held, due).await?;
        for stage in order::stages(std::mem::take(&mut order.first)) {
            let services = stage.iter().any(|object| object.id.kind == "Service");
            self.apply_stage(marks, stage, fresh, work).await?;
            if services {
                self.route(held, work).await?;
            }
        }
        // What waited is changed by this version, not put back.
        let fresh = fresh || !work.held.is_empty();
        for stage in self.switch(held, order, work).await? {
            let services = stage.iter().any(|object| object.id.kind == "Service");
            self.apply_stage(marks, stage, fresh, work).await?;
            if services {
                self.route(held, work).await?;
            }
        }
        Ok(())
    }

    /// Sorts a base's objects by when they may be applied. Everything of another environment is applied at once.
    async fn order(&self, held: &Environment, due: Vec<Desired>) -> Result<Order, Trouble> {
        let switches = self.switches(held);
        let mut order = Order::default();
        for object in due {
            let is_service = object.id.group.is_empty() && object.id.kind == "Service";
            match switches.get(&object.id.name).filter(|_| is_service) {
                Some(ports) => order.switch.push((object, ports.clone())),
                None if !switches.is_empty() && self.is_policy_in_force(&object).await? => order.after.push(object),
                None => order.first.push(object),
            }
        }
        Ok(order)
    }

    /// The held Services for which routers listen now, and everything else that is held if none is left then.
    pub(super) async fn unheld(&self, held: &Environment, work: &mut Work) -> BTreeSet<ObjectId> {
        let switches = self.switches(held);
        let listening = self.listening(&held.namespace).await;
        let lacks = |name: &str| self.lacks(held, &listening, name, switches.get(name)?);
        let services = work.held.iter().filter(|id| id.kind == "Service");
        let unheld: BTreeSet<_> = services.filter(|id| lacks(&id.name).is_none()).cloned().collect();
        work.pending = pending(work.held.difference(&unheld), lacks);
        unheld
    }

    /// Switches what routers listen for, and then what had to wait for it. What still waits is held.
    async fn switch(&self, held: &Environment, order: Order, work: &mut Work) -> Result<Vec<Vec<Desired>>, Trouble> {
        let Order { switch, after, .. } = order;
        work.held.clear();
        work.pending = None;
        if switch.is_empty() {
            return Ok(vec![after]);
        }
        let all: BTreeSet<u16> = switch.iter().flat_map(|(_, ports)| ports).copied().collect();
        let listening = self.listening_soon(&held.namespace, LISTEN, |listening| listening.lacks(&all).is_none()).await;
        let (open, waiting): (Vec<_>, Vec<_>) = switch
            .into_iter()
            .partition(|(object, ports)| self.lacks(held, &listening, &object.id.name, ports).is_none());
        work.held.extend(waiting.iter().map(|(object, _)| object.id.clone()));
        let waiting: BTreeMap<_, _> = waiting.into_iter().map(|(object, ports)| (object.id.name, ports)).collect();
        work.pending = pending(work.held.iter(), |name| self.lacks(held, &listening, name, waiting.get(name)?));
        let open = open.into_iter().map(|(object, _)| object).collect();
        if waiting.is_empty() {
            return Ok(vec![open, after]);
        }
        work.held.extend(after.into_iter().map(|object| object.id));
        Ok(vec![open])
    }

    /// Why a Service cannot be switched to these ports yet; none when it can.
    fn lacks(&self, held: &Environment, listening: &Listening, name: &str, ports: &BTreeSet<u16>) -> Option<String> {
        let user = self.with_routing(&held.namespace, |all, _| all.base.as_ref()?.waits_for(name).map(str::to_owned));
        let used = user.map(|user| format!("its router port is still used by Service {user}"));
        used.or_else(|| listening.lacks(ports))
    }

    /// The Services that are to be switched, and the ports that routers must listen on.
    fn switches(&self, held: &Environment) -> BTreeMap<String, BTreeSet<u16>> {
        if held.identity.branch.is_some() {
            return BTreeMap::new();
        }
        self.with_routing(&held.namespace, |all, _| {
            let switches = all.base.iter().flat_map(|base| base.to_switch());
            switches.map(|(name, ports)| (name.to_owned(), ports)).collect()
        })
    }

    async fn is_policy_in_force(&self, object: &Desired) -> Result<bool, Trouble> {
        if object.id.group != "networking.k8s.io" || object.id.kind != "NetworkPolicy" {
            return Ok(false);
        }
        if self.index.get(&object.id).is_some() {
            return Ok(true);
        }
        let kind = self.api.kind(&object.gvk()).await?;
        Ok(self.api.metadata(&kind, &object.id).await?.is_some())
    }
}

/// What is said of a base whose Services wait; none where none does.
fn pending<'a>(held: impl Iterator<Item = &'a ObjectId>, why: impl Fn(&str) -> Option<String>) -> Option<String> {
    let names: Vec<_> = held.filter(|id| id.kind == "Service").map(|id| id.name.as_str()).collect();
    let first = names.first()?;
    let why = why(first).unwrap_or_default();
    let (noun, are) = if names.len() == 1 { ("Service", "is") } else { ("Services", "are") };
    Some(format!("RoutingPending: {noun} {} {are} not routed yet: {why}", names.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_waits_is_named_with_its_reason() {
        let id = |kind: &str, name: &str| ObjectId {
            group: String::new(),
            kind: kind.into(),
            namespace: "n".into(),
            name: name.into(),
        };
        let held = [id("NetworkPolicy", "web"), id("Service", "cart"), id("Service", "web")];
        let say = |held: &[ObjectId]| pending(held.iter(), |_| Some("no router is ready".into()));
        let expected = "RoutingPending: Services cart, web are not routed yet: no router is ready";
        assert_eq!(say(&held).as_deref(), Some(expected));
        let expected = "RoutingPending: Service web is not routed yet: no router is ready";
        assert_eq!(say(&held[2..]).as_deref(), Some(expected));
        assert_eq!(say(&held[..1]), None);
    }
}
