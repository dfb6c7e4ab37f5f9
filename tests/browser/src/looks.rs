//! The looks in which pages are shown, and pictures of them.

use std::path::PathBuf;

use serde_json::json;

use crate::Browser;

/// A way in which a page is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Look {
    /// The light colours, on a desk.
    Light,
    /// The dark colours, on a desk.
    Dark,
    /// The light colours, on a phone.
    Phone,
}

impl Look {
    /// All looks.
    pub const ALL: [Self; 3] = [Self::Light, Self::Dark, Self::Phone];

    const fn name(self) -> &'static str {
        match self {
            Self::Light => "light",
            Self::Dark => "dark",
            Self::Phone => "phone",
        }
    }

    /// The width and the height of the window, in CSS pixels.
    const fn size(self) -> (u32, u32) {
        match self {
            Self::Light | Self::Dark => (1280, 900),
            Self::Phone => (360, 740),
        }
    }
}

impl Browser {
    /// Shows the page in this look.
    pub async fn look(&self, look: Look) {
        let cdp = self.driver().cdp();
        let scheme = if look == Look::Dark { "dark" } else { "light" };
        let media = json!({"features": [{"name": "prefers-color-scheme", "value": scheme}]});
        cdp.send_raw("Emulation.setEmulatedMedia", media).await.expect("colours can be chosen");
        let (width, height) = look.size();
        let phone = look == Look::Phone;
        let metrics = json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": phone});
        cdp.send_raw("Emulation.setDeviceMetricsOverride", metrics).await.expect("a size can be chosen");
    }

    /// Writes pictures of the page in every look to `target/screens/NAME-LOOK.png`, and shows it in the first look again.
    ///
    /// # Panics
    /// If the page is wider than a phone: its reader would have to scroll in two directions.
    pub async fn picture(&self, name: &str) {
        let folder = screens();
        std::fs::create_dir_all(&folder).expect("the folder can be made");
        for look in Look::ALL {
            self.look(look).await;
            let width = self.script("return document.documentElement.scrollWidth").await;
            let file = folder.join(format!("{name}-{}.png", look.name()));
            self.driver().screenshot(&file).await.expect("a picture can be taken");
            let (limit, _) = look.size();
            assert!(
                width.as_u64() <= Some(limit.into()),
                "{name} is {width} pixels wide on a screen of {limit}"
            );
        }
        self.look(Look::Light).await;
    }
}

/// Returns the folder of the pictures.
fn screens() -> PathBuf {
    forge_tests::binary::root().join("target").join("screens")
}
