//! Where the access tokens of a provider come from (RFC 6749): end points, scopes and national clouds.
//!
//! The addresses are those that Microsoft and Google publish. Not here: how a token is asked for (`oauth`).

use serde::Deserialize;

use super::worded_enum::worded_enum;

/// Who issues the tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TokenService {
    /// Microsoft Entra and personal Microsoft accounts.
    Microsoft,
    /// Google accounts and Google Workspace.
    Google,
}

worded_enum! {
    /// The cloud that an organisation is in.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
    pub enum Cloud {
        /// The one for everybody.
        Public = "public",
        /// Microsoft's cloud for the government of the United States.
        UsGov = "usgov",
        /// Microsoft 365 operated by 21Vianet in China.
        China = "china",
    }
}

/// The end points and scopes of one service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenPlaces {
    /// Where a person signs in with a browser.
    pub authorize: String,
    /// Where tokens are given out.
    pub token: String,
    /// Where a device code comes from.
    pub device: String,
    /// What a person grants; separated by blanks.
    pub scope: String,
    /// What an application has by itself.
    pub app_scope: String,
}

impl TokenService {
    /// The host of submission in this cloud; `None` where it is the preset's.
    pub fn smtp_host(self, cloud: Cloud) -> Option<&'static str> {
        match (self, cloud) {
            (TokenService::Microsoft, Cloud::UsGov) => Some("smtp.office365.us"),
            (TokenService::Microsoft, Cloud::China) => Some("smtp.partner.outlook.cn"),
            (TokenService::Microsoft, Cloud::Public) | (TokenService::Google, _) => None,
        }
    }

    /// The places for an organisation `tenant` in this cloud. Google has no tenants and one cloud.
    pub fn places(self, cloud: Cloud, tenant: &str) -> TokenPlaces {
        match self {
            TokenService::Google => TokenPlaces {
                authorize: "https://accounts.google.com/o/oauth2/v2/auth".to_owned(),
                token: "https://oauth2.googleapis.com/token".to_owned(),
                device: "https://oauth2.googleapis.com/device/code".to_owned(),
                // The one scope that SMTP takes; `email` says who signed in.
                scope: "https://mail.google.com/ openid email".to_owned(),
                app_scope: "https://mail.google.com/".to_owned(),
            },
            TokenService::Microsoft => {
                let (host, resource, app) = match cloud {
                    Cloud::Public => {
                        ("login.microsoftonline.com", "https://outlook.office.com", "https://outlook.office365.com")
                    }
                    Cloud::UsGov => {
                        ("login.microsoftonline.us", "https://outlook.office365.us", "https://outlook.office365.us")
                    }
                    Cloud::China => {
                        ("login.partner.microsoftonline.cn", "https://partner.outlook.cn", "https://partner.outlook.cn")
                    }
                };
                let place = |last: &str| format!("https://{host}/{tenant}/oauth2/v2.0/{last}");
                TokenPlaces {
                    authorize: place("authorize"),
                    token: place("token"),
                    device: place("devicecode"),
                    scope: format!("{resource}/SMTP.Send offline_access openid email profile"),
                    app_scope: format!("{app}/.default"),
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_cloud_has_its_places_and_its_audience() {
        let public = TokenService::Microsoft.places(Cloud::Public, "consumers");
        assert_eq!(public.device, "https://login.microsoftonline.com/consumers/oauth2/v2.0/devicecode");
        assert!(public.scope.starts_with("https://outlook.office.com/SMTP.Send offline_access"));
        assert_eq!(public.app_scope, "https://outlook.office365.com/.default");
        let china = TokenService::Microsoft.places(Cloud::China, "contoso.partner.onmschina.cn");
        assert!(china.token.starts_with("https://login.partner.microsoftonline.cn/contoso.partner.onmschina.cn/"));
        assert!(china.scope.starts_with("https://partner.outlook.cn/SMTP.Send "));
        assert!(TokenService::Google.places(Cloud::Public, "").scope.starts_with("https://mail.google.com/ "));
    }
}
