//! What instantiating a component makes, all nested instances included. A few bytes are enough to describe
//! millions: a component that instantiates another one twice, which does the same, and so on.

use wasmparser::{
    ComponentAlias, ComponentExternalKind, ComponentInstance, ComponentOuterAliasKind, ComponentTypeRef,
    Encoding, Instance, Payload,
};

use super::bounds::at_most;
use super::{InvalidComponent, damaged};
use crate::settings::{CORE_INSTANCES, MEMORIES, TABLES};

/// Instances of components inside the outermost: tools make one for each exported interface, or for each component
/// that they compose.
const INSTANCES: u64 = 100;

/// What one instance consists of.
#[derive(Debug, Clone, Copy, Default)]
struct Made {
    instances: u64,
    core_instances: u64,
    memories: u64,
    tables: u64,
}

impl Made {
    fn add(&mut self, other: Self) {
        self.instances = self.instances.saturating_add(other.instances);
        self.core_instances = self.core_instances.saturating_add(other.core_instances);
        self.memories = self.memories.saturating_add(other.memories);
        self.tables = self.tables.saturating_add(other.tables);
    }
}

/// A module or component that is being read.
struct Open {
    encoding: Encoding,
    /// What one instance of it consists of, as far as it is read.
    made: Made,
    /// What it can instantiate, by index.
    components: Vec<Made>,
    modules: Vec<Made>,
}

/// Counts instances.
#[derive(Default)]
pub(super) struct Instances {
    open: Vec<Open>,
}

impl Instances {
    /// How many modules and components what comes next lies in.
    pub(super) fn depth(&self) -> usize {
        self.open.len()
    }

    /// Looks at one more part.
    pub(super) fn check(&mut self, part: &Payload<'_>) -> Result<(), InvalidComponent> {
        match part {
            Payload::Version { encoding, .. } => self.open.push(Open {
                encoding: *encoding,
                made: Made::default(),
                components: Vec::new(),
                modules: Vec::new(),
            }),
            Payload::End(_) => return self.close(),
            _ => {}
        }
        let outer = self.open.len().saturating_sub(1);
        let (outer, current) = self.open.split_at_mut(outer);
        let Some(current) = current.first_mut() else { return Ok(()) };
        match part {
            Payload::MemorySection(memories) => current.made.memories += u64::from(memories.count()),
            Payload::TableSection(tables) => current.made.tables += u64::from(tables.count()),
            Payload::InstanceSection(instances) => {
                for instance in instances.clone() {
                    if let Instance::Instantiate { module_index, .. } =
                        instance.map_err(|error| damaged(&error))?
                    {
                        current.made.core_instances = current.made.core_instances.saturating_add(1);
                        current.made.add(at(&current.modules, module_index));
                    }
                }
            }
            Payload::ComponentInstanceSection(instances) => {
                for instance in instances.clone() {
                    if let ComponentInstance::Instantiate { component_index, .. } =
                        instance.map_err(|error| damaged(&error))?
                    {
                        current.made.instances = current.made.instances.saturating_add(1);
                        current.made.add(at(&current.components, component_index));
                    }
                }
            }
            Payload::ComponentAliasSection(aliases) => {
                for alias in aliases.clone() {
                    current.alias(&alias.map_err(|error| damaged(&error))?, outer)?;
                }
            }
            Payload::ComponentImportSection(imports) => {
                for import in imports.clone() {
                    let passes = matches!(
                        import.map_err(|error| damaged(&error))?.ty,
                        ComponentTypeRef::Component(_) | ComponentTypeRef::Module(_)
                    );
                    not_passed_on(passes)?;
                }
            }
            Payload::ComponentExportSection(exports) => {
                for export in exports.clone() {
                    not_passed_on(passes(export.map_err(|error| damaged(&error))?.kind))?;
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// A module or component ends: it can be instantiated by the one around it from here on.
    fn close(&mut self) -> Result<(), InvalidComponent> {
        let Some(closed) = self.open.pop() else { return Ok(()) };
        match (self.open.last_mut(), closed.encoding) {
            (Some(outer), Encoding::Component) => outer.components.push(closed.made),
            (Some(outer), Encoding::Module) => outer.modules.push(closed.made),
            (None, _) => return closed.made.check(),
        }
        Ok(())
    }
}

impl Made {
    fn check(self) -> Result<(), InvalidComponent> {
        at_most("component instances inside it", self.instances, INSTANCES)?;
        at_most("module instances", self.core_instances, u64::from(CORE_INSTANCES))?;
        at_most("memories", self.memories, u64::from(MEMORIES))?;
        at_most("tables", self.tables, u64::from(TABLES))
    }
}

impl Open {
    fn alias(&mut self, alias: &ComponentAlias<'_>, outer: &[Self]) -> Result<(), InvalidComponent> {
        match *alias {
            ComponentAlias::InstanceExport { kind, .. } => not_passed_on(passes(kind)),
            ComponentAlias::Outer { kind, count, index } => {
                // Counted from this one, which is no part of `outer`.
                let from = (count as usize).checked_sub(1).and_then(|up| outer.iter().rev().nth(up));
                let from = from.unwrap_or(self);
                match kind {
                    ComponentOuterAliasKind::Component => {
                        let made = at(&from.components, index);
                        self.components.push(made);
                    }
                    ComponentOuterAliasKind::CoreModule => {
                        let made = at(&from.modules, index);
                        self.modules.push(made);
                    }
                    ComponentOuterAliasKind::Type | ComponentOuterAliasKind::CoreType => {}
                }
                Ok(())
            }
            ComponentAlias::CoreInstanceExport { .. } => Ok(()),
        }
    }
}

/// What is not there is not valid either, which the compiler says better.
fn at(made: &[Made], index: u32) -> Made {
    made.get(index as usize).copied().unwrap_or_default()
}

fn passes(kind: ComponentExternalKind) -> bool {
    matches!(kind, ComponentExternalKind::Component | ComponentExternalKind::Module)
}

/// What is instantiated must be known where it is, or it could not be counted. No toolchain does otherwise.
fn not_passed_on(passes: bool) -> Result<(), InvalidComponent> {
    if !passes {
        return Ok(());
    }
    Err(InvalidComponent(
        "the component imports or exports a module or a component as such, which workflows cannot: link them before"
            .to_owned(),
    ))
}
