//! Counts the instances that instantiating a component creates, including nested ones. A few bytes can describe
//! millions: a component that instantiates another one twice, which does the same, and so on.

use wasmparser::{
    ComponentAlias, ComponentExternalKind, ComponentInstance, ComponentOuterAliasKind, ComponentTypeRef,
    Encoding, Instance, Payload,
};

use super::InvalidComponent;
use super::bounds::at_most;
use crate::settings::{CORE_INSTANCES, MEMORIES, TABLES};

/// The maximum number of component instances inside the outermost. Tools create one for each exported interface or
/// composed component.
const INSTANCES: u64 = 100;

/// The contents of one instance.
#[derive(Debug, Clone, Copy, Default)]
struct Contents {
    instances: u64,
    core_instances: u64,
    memories: u64,
    tables: u64,
}

impl Contents {
    fn add(&mut self, other: Self) {
        self.instances = self.instances.saturating_add(other.instances);
        self.core_instances = self.core_instances.saturating_add(other.core_instances);
        self.memories = self.memories.saturating_add(other.memories);
        self.tables = self.tables.saturating_add(other.tables);
    }
}

/// A core module or component that is being read.
struct Open {
    encoding: Encoding,
    /// The contents of one instance, as far as they are read.
    contents: Contents,
    /// The contents of the components that it can instantiate, by index.
    components: Vec<Contents>,
    /// The contents of the core modules that it can instantiate, by index.
    modules: Vec<Contents>,
}

/// The count of instances, over a component that is being read.
#[derive(Default)]
pub(super) struct Instances {
    open: Vec<Open>,
}

impl Instances {
    /// Returns the depth of core modules and components at which the next part lies.
    pub(super) fn depth(&self) -> usize {
        self.open.len()
    }

    /// Counts the next part.
    pub(super) fn check(&mut self, part: &Payload<'_>) -> Result<(), InvalidComponent> {
        match part {
            Payload::Version { encoding, .. } => self.open.push(Open {
                encoding: *encoding,
                contents: Contents::default(),
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
            Payload::MemorySection(memories) => current.contents.memories += u64::from(memories.count()),
            Payload::TableSection(tables) => current.contents.tables += u64::from(tables.count()),
            Payload::InstanceSection(instances) => {
                for instance in instances.clone() {
                    if let Instance::Instantiate { module_index, .. } = instance? {
                        current.contents.core_instances = current.contents.core_instances.saturating_add(1);
                        current.contents.add(at(&current.modules, module_index));
                    }
                }
            }
            Payload::ComponentInstanceSection(instances) => {
                for instance in instances.clone() {
                    if let ComponentInstance::Instantiate { component_index, .. } = instance? {
                        current.contents.instances = current.contents.instances.saturating_add(1);
                        current.contents.add(at(&current.components, component_index));
                    }
                }
            }
            Payload::ComponentAliasSection(aliases) => {
                for alias in aliases.clone() {
                    current.alias(&alias?, outer)?;
                }
            }
            Payload::ComponentImportSection(imports) => {
                for import in imports.clone() {
                    let passes =
                        matches!(import?.ty, ComponentTypeRef::Component(_) | ComponentTypeRef::Module(_));
                    not_passed_on(passes)?;
                }
            }
            Payload::ComponentExportSection(exports) => {
                for export in exports.clone() {
                    not_passed_on(passes(export?.kind))?;
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// Ends a core module or component, which the one around it can instantiate from here on.
    fn close(&mut self) -> Result<(), InvalidComponent> {
        let Some(closed) = self.open.pop() else { return Ok(()) };
        match (self.open.last_mut(), closed.encoding) {
            (Some(outer), Encoding::Component) => outer.components.push(closed.contents),
            (Some(outer), Encoding::Module) => outer.modules.push(closed.contents),
            (None, _) => return closed.contents.check(),
        }
        Ok(())
    }
}

impl Contents {
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
                // `count` starts at this component, which is not in `outer`.
                let from = (count as usize).checked_sub(1).and_then(|up| outer.iter().rev().nth(up));
                let from = from.unwrap_or(self);
                match kind {
                    ComponentOuterAliasKind::Component => {
                        let contents = at(&from.components, index);
                        self.components.push(contents);
                    }
                    ComponentOuterAliasKind::CoreModule => {
                        let contents = at(&from.modules, index);
                        self.modules.push(contents);
                    }
                    ComponentOuterAliasKind::Type | ComponentOuterAliasKind::CoreType => {}
                }
                Ok(())
            }
            ComponentAlias::CoreInstanceExport { .. } => Ok(()),
        }
    }
}

/// Returns the contents at an index. A missing index makes the component invalid, which the compiler reports.
fn at(contents: &[Contents], index: u32) -> Contents {
    contents.get(index as usize).copied().unwrap_or_default()
}

fn passes(kind: ComponentExternalKind) -> bool {
    matches!(kind, ComponentExternalKind::Component | ComponentExternalKind::Module)
}

/// Rejects components and core modules that are imported or exported: their instances could not be counted. No
/// toolchain emits them.
fn not_passed_on(passes: bool) -> Result<(), InvalidComponent> {
    if !passes {
        return Ok(());
    }
    Err(InvalidComponent(
        "the component imports or exports a core module or a component as such, which workflows cannot: link it before \
         the upload"
            .to_owned(),
    ))
}
