//! What the `data` of each kind looks like, as JSON Schemas (draft 2020-12).

pub(super) const VULNERABILITY_FOUND: &str = r#"{
  "$schema": "https://json-schema.org/draft/2020-12/schema",
  "title": "vulnerability.found",
  "type": "object",
  "required": ["vulnerability_id", "severity", "package", "version", "project"],
  "properties": {
    "vulnerability_id": {"type": "string", "description": "CVE, GHSA or OSV id"},
    "severity": {"enum": ["critical", "high", "medium", "low", "info"]},
    "package": {"type": "string"},
    "version": {"type": "string", "description": "The version in use"},
    "project": {"type": "string", "description": "The project's name"},
    "summary": {"type": "string"}
  }
}"#;

pub(super) const VULNERABILITY_RESOLVED: &str = r#"{
  "$schema": "https://json-schema.org/draft/2020-12/schema",
  "title": "vulnerability.resolved",
  "type": "object",
  "required": ["vulnerability_id", "severity", "package", "version", "project"],
  "properties": {
    "vulnerability_id": {"type": "string", "description": "CVE, GHSA or OSV id"},
    "severity": {"enum": ["critical", "high", "medium", "low", "info"]},
    "package": {"type": "string"},
    "version": {"type": "string", "description": "The version now in use"},
    "project": {"type": "string", "description": "The project's name"}
  }
}"#;

pub(super) const AEGIS_ACTIVITY: &str = r#"{
  "$schema": "https://json-schema.org/draft/2020-12/schema",
  "title": "aegis.activity",
  "type": "object",
  "required": ["action"],
  "properties": {
    "action": {"type": "string", "description": "What the agent did or recommends"},
    "summary": {"type": "string"},
    "severity": {"enum": ["critical", "high", "medium", "low", "info"]},
    "project": {"type": "string", "description": "The project's name"}
  }
}"#;

pub(super) const MEMBER_ADDED: &str = r#"{
  "$schema": "https://json-schema.org/draft/2020-12/schema",
  "title": "administrative.member_added",
  "type": "object",
  "required": ["role"],
  "properties": {
    "email": {"type": "string"},
    "name": {"type": "string"},
    "role": {"type": "string"}
  }
}"#;

pub(super) const SETTINGS_CHANGED: &str = r#"{
  "$schema": "https://json-schema.org/draft/2020-12/schema",
  "title": "administrative.settings_changed",
  "type": "object",
  "required": ["setting"],
  "properties": {
    "setting": {"type": "string", "description": "Which setting"},
    "changed_by": {"type": "string"}
  }
}"#;

pub(super) const CONNECTION_FAILING: &str = r#"{
  "$schema": "https://json-schema.org/draft/2020-12/schema",
  "title": "connection.failing",
  "type": "object",
  "required": ["connection_id", "provider", "display_name", "percent", "failing_since"],
  "properties": {
    "connection_id": {"type": "string", "format": "uuid"},
    "provider": {"type": "string", "description": "As in the list of integrations"},
    "display_name": {"type": "string", "description": "What people call it"},
    "percent": {"enum": [50, 75, 90]},
    "failing_since": {"type": "string", "format": "date-time"}
  }
}"#;

pub(super) const CONNECTION_DELIVERIES_EXHAUSTED: &str = r#"{
  "$schema": "https://json-schema.org/draft/2020-12/schema",
  "title": "connection.deliveries_exhausted",
  "type": "object",
  "required": ["connection_id", "provider", "display_name", "delivery_id"],
  "properties": {
    "connection_id": {"type": "string", "format": "uuid"},
    "provider": {"type": "string", "description": "As in the list of integrations"},
    "display_name": {"type": "string", "description": "What people call it"},
    "delivery_id": {"type": "string", "format": "uuid"},
    "failing_since": {"type": "string", "format": "date-time"}
  }
}"#;

pub(super) const CONNECTION_RECOVERED: &str = r#"{
  "$schema": "https://json-schema.org/draft/2020-12/schema",
  "title": "connection.recovered",
  "type": "object",
  "required": ["connection_id", "provider", "display_name"],
  "properties": {
    "connection_id": {"type": "string", "format": "uuid"},
    "provider": {"type": "string", "description": "As in the list of integrations"},
    "display_name": {"type": "string", "description": "What people call it"},
    "failing_since": {"type": "string", "format": "date-time"}
  }
}"#;

pub(super) const CONNECTION_DISABLED: &str = r#"{
  "$schema": "https://json-schema.org/draft/2020-12/schema",
  "title": "connection.disabled",
  "type": "object",
  "required": ["connection_id", "provider", "display_name", "reason"],
  "properties": {
    "connection_id": {"type": "string", "format": "uuid"},
    "provider": {"type": "string", "description": "As in the list of integrations"},
    "display_name": {"type": "string", "description": "What people call it"},
    "reason": {"enum": ["failing_too_long", "receiver_gone"]},
    "failing_since": {"type": "string", "format": "date-time"}
  }
}"#;

pub(super) const CONNECTION_ERRORED: &str = r#"{
  "$schema": "https://json-schema.org/draft/2020-12/schema",
  "title": "connection.errored",
  "type": "object",
  "required": ["connection_id", "provider", "display_name", "reason"],
  "properties": {
    "connection_id": {"type": "string", "format": "uuid"},
    "provider": {"type": "string", "description": "As in the list of integrations"},
    "display_name": {"type": "string", "description": "What people call it"},
    "reason": {"type": "string", "description": "A stable code"},
    "failing_since": {"type": "string", "format": "date-time"}
  }
}"#;

pub(super) const CONNECTION_SUSPENDED: &str = r#"{
  "$schema": "https://json-schema.org/draft/2020-12/schema",
  "title": "connection.suspended",
  "type": "object",
  "required": ["connection_id", "provider", "display_name", "reason"],
  "properties": {
    "connection_id": {"type": "string", "format": "uuid"},
    "provider": {"type": "string", "description": "As in the list of integrations"},
    "display_name": {"type": "string", "description": "What people call it"},
    "reason": {"type": "string", "description": "A stable code"},
    "failing_since": {"type": "string", "format": "date-time"}
  }
}"#;

pub(super) const CONNECTION_DESTINATION_FAILING: &str = r#"{
  "$schema": "https://json-schema.org/draft/2020-12/schema",
  "title": "connection.destination_failing",
  "type": "object",
  "required": ["connection_id", "provider", "display_name", "reason"],
  "properties": {
    "connection_id": {"type": "string", "format": "uuid"},
    "provider": {"type": "string", "description": "As in the list of integrations"},
    "display_name": {"type": "string", "description": "What people call it"},
    "reason": {"type": "string", "description": "A stable code"},
    "failing_since": {"type": "string", "format": "date-time"}
  }
}"#;

pub(super) const TEST: &str = r#"{
  "$schema": "https://json-schema.org/draft/2020-12/schema",
  "title": "test.ping",
  "type": "object",
  "required": ["message"],
  "properties": {"message": {"type": "string"}}
}"#;
