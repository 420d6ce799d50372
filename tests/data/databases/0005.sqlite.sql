BEGIN TRANSACTION;
CREATE TABLE "applications" (
	name VARCHAR(128) NOT NULL, 
	type VARCHAR(32) NOT NULL, 
	enabled BOOLEAN NOT NULL, 
	outputs JSON NOT NULL, 
	recording VARCHAR(32) NOT NULL, 
	publish_password TEXT NOT NULL, 
	referers JSON NOT NULL, 
	allow_empty_referer BOOLEAN NOT NULL, 
	signed BOOLEAN NOT NULL, 
	encrypted BOOLEAN NOT NULL, 
	hls_segment_seconds DOUBLE NOT NULL, 
	hls_segment_count INTEGER NOT NULL, 
	hls_always BOOLEAN NOT NULL, 
	hls_sessions BOOLEAN NOT NULL, 
	hls_end_list BOOLEAN NOT NULL, 
	created_at DOUBLE NOT NULL, 
	updated_at DOUBLE NOT NULL, 
	hls_key_segments INTEGER NOT NULL, 
	hls_key_url TEXT NOT NULL, 
	hls_format VARCHAR(8) NOT NULL, 
	hls_part_seconds DOUBLE NOT NULL, 
	hls_blocking BOOLEAN NOT NULL, 
	hls_variants JSON NOT NULL, 
	hls_audio_variant BOOLEAN NOT NULL, 
	rtsp_multicast BOOLEAN NOT NULL, 
	max_players INTEGER NOT NULL, 
	max_publishers INTEGER NOT NULL, 
	max_stream_players INTEGER NOT NULL, 
	max_bandwidth_kbps INTEGER NOT NULL, 
	authorize_url TEXT NOT NULL, 
	authorize_failure VARCHAR(8) NOT NULL, 
	jwks_url TEXT NOT NULL, 
	jwt_issuer TEXT NOT NULL, 
	jwt_audience TEXT NOT NULL, 
	cut_at_expiry BOOLEAN NOT NULL, 
	rtmp_authentication BOOLEAN NOT NULL, 
	CONSTRAINT pk_applications PRIMARY KEY (name), 
	CONSTRAINT ck_applications_hls_segment_count CHECK (hls_segment_count > 0), 
	CONSTRAINT ck_applications_hls_part_seconds CHECK (hls_part_seconds > 0), 
	CONSTRAINT ck_applications_name CHECK (name <> ''), 
	CONSTRAINT ck_applications_hls_key_segments CHECK (hls_key_segments > 0), 
	CONSTRAINT ck_applications_hls_segment_seconds CHECK (hls_segment_seconds > 0), 
	CONSTRAINT ck_applications_max_players CHECK (max_players >= 0), 
	CONSTRAINT ck_applications_max_publishers CHECK (max_publishers >= 0), 
	CONSTRAINT ck_applications_max_stream_players CHECK (max_stream_players >= 0), 
	CONSTRAINT ck_applications_max_bandwidth_kbps CHECK (max_bandwidth_kbps >= 0)
);
INSERT INTO "applications" VALUES('liveshow','live',1,'["rtmp", "flv", "ts", "hls", "rtsp"]','manual','','[]',1,0,0,2.0,7,0,1,0,1.79537029712371230122e+09,1.79537029712371230122e+09,10,'','ts',0.2,1,'[]',1,0,0,0,0,0,'','deny','','','',0,0);
INSERT INTO "applications" VALUES('tv','time-shift',1,'["rtmp", "flv", "ts", "hls", "rtsp"]','manual','','[]',1,0,0,2.0,7,0,1,0,1.79537029712371230122e+09,1.79537029712371230122e+09,10,'','ts',0.2,1,'[]',1,0,0,0,0,0,'','deny','','','',0,0);
INSERT INTO "applications" VALUES('audio','audio',1,'["rtmp", "flv", "ts", "hls", "rtsp"]','manual','','[]',1,0,0,2.0,7,0,1,0,1.79537029712371230122e+09,1.79537029712371230122e+09,10,'','ts',0.2,1,'[]',1,0,0,0,0,0,'','deny','','','',0,0);
INSERT INTO "applications" VALUES('vod','vod',1,'["rtmp", "flv", "ts", "hls", "rtsp"]','manual','','[]',1,0,0,2.0,7,0,1,0,1.79537029712371230122e+09,1.79537029712371230122e+09,10,'','ts',0.2,1,'[]',1,0,0,0,0,0,'','deny','','','',0,0);
INSERT INTO "applications" VALUES('Über-uns','vod',0,'["hls"]','manual','it''s \ " secret','["example.org", "b\u00fccher.example"]',0,1,0,4.5,12,1,0,1,1700000000.125,1700000000.25,10,'','ts',0.2,1,'[]',1,0,0,0,0,0,'','deny','','','',0,0);
INSERT INTO "applications" VALUES('empty','live',1,'[]','manual','','[]',1,0,0,2.0,7,0,1,0,1700000000.125,1700000000.25,10,'','ts',0.2,1,'[]',1,0,0,0,0,0,'','deny','','','',0,0);
INSERT INTO "applications" VALUES('every.field-2','live',1,'["rtmp", "flv"]','manual','','[]',1,0,1,2.0,7,0,1,0,1700000000.125,1700000000.25,3,'https://me:it''s@keys.example/{application}/{stream}/{key}?token=%24','ll',0.333,0,'["_720p", "_\u00fc"]',0,0,0,0,0,0,'','deny','','','',0,0);
INSERT INTO "applications" VALUES('groups','live',1,'["rtmp", "flv"]','manual','','[]',1,0,0,2.0,7,0,1,0,1700000000.125,1700000000.25,10,'','ts',0.2,1,'[]',1,1,0,0,0,0,'','deny','','','',0,0);
INSERT INTO "applications" VALUES('guarded','live',1,'["rtmp", "flv"]','manual','','[]',1,0,0,2.0,7,0,1,0,1700000000.125,1700000000.25,10,'','ts',0.2,1,'[]',1,0,7,2,5,100000,'https://me:it''s@business.example/may?token=%24','allow','https://keys.example/jwks.json','https://issuer.example','ntvmedia',1,1);
CREATE TABLE audit (
	id INTEGER NOT NULL, 
	time DOUBLE NOT NULL, 
	who VARCHAR(64) NOT NULL, 
	kind VARCHAR(16) NOT NULL, 
	session VARCHAR(32) NOT NULL, 
	peer_host TEXT NOT NULL, 
	action VARCHAR(64) NOT NULL, 
	subject TEXT NOT NULL, 
	"before" JSON, 
	"after" JSON, 
	CONSTRAINT pk_audit PRIMARY KEY (id)
);
CREATE TABLE callbacks (
	id VARCHAR(32) NOT NULL, 
	name VARCHAR(128) NOT NULL, 
	url TEXT NOT NULL, 
	events JSON NOT NULL, 
	method VARCHAR(8) NOT NULL, 
	dialect VARCHAR(16) NOT NULL, 
	secret TEXT NOT NULL, 
	decides BOOLEAN NOT NULL, 
	on_failure VARCHAR(8) NOT NULL, 
	enabled BOOLEAN NOT NULL, 
	created_at DOUBLE NOT NULL, 
	updated_at DOUBLE NOT NULL, 
	CONSTRAINT pk_callbacks PRIMARY KEY (id), 
	CONSTRAINT ck_callbacks_id CHECK (id <> '')
);
CREATE TABLE forbidden_streams (
	application VARCHAR(128) NOT NULL, 
	stream VARCHAR(128) NOT NULL, 
	comment TEXT NOT NULL, 
	created_at DOUBLE NOT NULL, 
	CONSTRAINT pk_forbidden_streams PRIMARY KEY (application, stream)
);
CREATE TABLE ip_rules (
	id VARCHAR(16) NOT NULL, 
	network VARCHAR(64) NOT NULL, 
	action VARCHAR(8) NOT NULL, 
	scopes JSON NOT NULL, 
	enabled BOOLEAN NOT NULL, 
	comment TEXT NOT NULL, 
	created_at DOUBLE NOT NULL, 
	updated_at DOUBLE NOT NULL, 
	CONSTRAINT pk_ip_rules PRIMARY KEY (id)
);
CREATE TABLE notifications (
	id BIGINT NOT NULL, 
	callback VARCHAR(32) NOT NULL, 
	event_id VARCHAR(64) NOT NULL, 
	event VARCHAR(32) NOT NULL, 
	lane TEXT NOT NULL, 
	facts TEXT NOT NULL, 
	created_at DOUBLE NOT NULL, 
	CONSTRAINT pk_notifications PRIMARY KEY (id)
);
CREATE TABLE ntvmedia_revision (
	version_num VARCHAR(32) NOT NULL, 
	CONSTRAINT ntvmedia_revision_pkc PRIMARY KEY (version_num)
);
INSERT INTO "ntvmedia_revision" VALUES('0005');
CREATE TABLE preferences (
	"key" VARCHAR(128) NOT NULL, 
	value JSON NOT NULL, 
	CONSTRAINT pk_preferences PRIMARY KEY ("key")
);
CREATE TABLE pushes (
	id VARCHAR(32) NOT NULL, 
	description VARCHAR(200) NOT NULL, 
	enabled BOOLEAN NOT NULL, 
	application VARCHAR(128) NOT NULL, 
	streams JSON NOT NULL, 
	server TEXT NOT NULL, 
	target_application TEXT NOT NULL, 
	target_stream TEXT NOT NULL, 
	"query" TEXT NOT NULL, 
	transport VARCHAR(8) NOT NULL, 
	stall_seconds DOUBLE NOT NULL, 
	created_at DOUBLE NOT NULL, 
	updated_at DOUBLE NOT NULL, 
	CONSTRAINT pk_pushes PRIMARY KEY (id), 
	CONSTRAINT ck_pushes_id CHECK (id <> ''), 
	CONSTRAINT ck_pushes_stall_seconds CHECK (stall_seconds > 0)
);
CREATE TABLE relays (
	id VARCHAR(32) NOT NULL, 
	description VARCHAR(200) NOT NULL, 
	enabled BOOLEAN NOT NULL, 
	on_demand BOOLEAN NOT NULL, 
	source TEXT NOT NULL, 
	fallbacks JSON NOT NULL, 
	recover_seconds DOUBLE NOT NULL, 
	transport VARCHAR(8) NOT NULL, 
	loop BOOLEAN NOT NULL, 
	stall_seconds DOUBLE NOT NULL, 
	video JSON NOT NULL, 
	audio JSON NOT NULL, 
	renditions JSON NOT NULL, 
	target JSON NOT NULL, 
	created_at DOUBLE NOT NULL, 
	updated_at DOUBLE NOT NULL, 
	CONSTRAINT pk_relays PRIMARY KEY (id), 
	CONSTRAINT ck_relays_id CHECK (id <> ''), 
	CONSTRAINT ck_relays_stall_seconds CHECK (stall_seconds > 0)
);
CREATE TABLE sessions (
	id VARCHAR(32) NOT NULL, 
	secret_hash VARCHAR(64) NOT NULL, 
	owner VARCHAR(64) NOT NULL, 
	peer_host TEXT NOT NULL, 
	agent TEXT NOT NULL, 
	created_at DOUBLE NOT NULL, 
	used_at DOUBLE NOT NULL, 
	CONSTRAINT pk_sessions PRIMARY KEY (id), 
	CONSTRAINT uq_sessions_secret_hash UNIQUE (secret_hash), 
	CONSTRAINT fk_sessions_owner FOREIGN KEY(owner) REFERENCES users (name) ON DELETE CASCADE
);
CREATE TABLE share_links (
	id VARCHAR(16) NOT NULL, 
	name TEXT NOT NULL, 
	application VARCHAR(128) NOT NULL, 
	stream VARCHAR(128) NOT NULL, 
	expires_at DOUBLE NOT NULL, 
	max_viewers INTEGER NOT NULL, 
	created_at DOUBLE NOT NULL, 
	updated_at DOUBLE NOT NULL, 
	CONSTRAINT pk_share_links PRIMARY KEY (id), 
	CONSTRAINT ck_share_links_max_viewers CHECK (max_viewers >= 0)
);
CREATE TABLE signing_keys (
	id VARCHAR(32) NOT NULL, 
	application VARCHAR(128) NOT NULL, 
	secret VARCHAR(64) NOT NULL, 
	enabled BOOLEAN NOT NULL, 
	comment TEXT NOT NULL, 
	created_at DOUBLE NOT NULL, 
	updated_at DOUBLE NOT NULL, 
	CONSTRAINT pk_signing_keys PRIMARY KEY (id)
);
INSERT INTO "signing_keys" VALUES('default','','',1,'',0.0,0.0);
CREATE TABLE statistics_days (
	day DATE NOT NULL, 
	application VARCHAR(128) NOT NULL, 
	stream VARCHAR(128) NOT NULL, 
	protocol VARCHAR(32) NOT NULL, 
	viewers BIGINT NOT NULL, 
	peak BIGINT NOT NULL, 
	seconds DOUBLE NOT NULL, 
	bytes_in BIGINT NOT NULL, 
	bytes_out BIGINT NOT NULL, 
	publishes BIGINT NOT NULL, 
	CONSTRAINT pk_statistics_days PRIMARY KEY (day, application, stream, protocol)
);
CREATE TABLE statistics_points (
	span INTEGER NOT NULL, 
	application VARCHAR(128) NOT NULL, 
	time DOUBLE NOT NULL, 
	viewers BIGINT NOT NULL, 
	publishers BIGINT NOT NULL, 
	seconds DOUBLE NOT NULL, 
	bytes_in BIGINT NOT NULL, 
	bytes_out BIGINT NOT NULL, 
	CONSTRAINT pk_statistics_points PRIMARY KEY (span, application, time)
);
CREATE TABLE statistics_refusals (
	day DATE NOT NULL, 
	application VARCHAR(128) NOT NULL, 
	protocol VARCHAR(32) NOT NULL, 
	rule VARCHAR(32) NOT NULL, 
	refused BIGINT NOT NULL, 
	CONSTRAINT pk_statistics_refusals PRIMARY KEY (day, application, protocol, rule)
);
CREATE TABLE statistics_runs (
	run VARCHAR(32) NOT NULL, 
	batch BIGINT NOT NULL, 
	written_at DOUBLE NOT NULL, 
	CONSTRAINT pk_statistics_runs PRIMARY KEY (run)
);
CREATE TABLE stream_labels (
	application VARCHAR(128) NOT NULL, 
	stream VARCHAR(128) NOT NULL, 
	label VARCHAR(200) NOT NULL, 
	CONSTRAINT pk_stream_labels PRIMARY KEY (application, stream), 
	CONSTRAINT ck_stream_labels_label CHECK (label <> '')
);
CREATE TABLE tokens (
	id VARCHAR(32) NOT NULL, 
	secret_hash VARCHAR(64) NOT NULL, 
	owner VARCHAR(64) NOT NULL, 
	name VARCHAR(128) NOT NULL, 
	role VARCHAR(32) NOT NULL, 
	created_at DOUBLE NOT NULL, 
	expires_at DOUBLE, 
	used_at DOUBLE, 
	CONSTRAINT pk_tokens PRIMARY KEY (id), 
	CONSTRAINT uq_tokens_secret_hash UNIQUE (secret_hash), 
	CONSTRAINT fk_tokens_owner FOREIGN KEY(owner) REFERENCES users (name) ON DELETE CASCADE
);
CREATE TABLE users (
	name VARCHAR(64) NOT NULL, 
	role VARCHAR(32) NOT NULL, 
	enabled BOOLEAN NOT NULL, 
	password_hash TEXT NOT NULL, 
	password_changed_at DOUBLE NOT NULL, 
	created_at DOUBLE NOT NULL, 
	updated_at DOUBLE NOT NULL, 
	logged_in_at DOUBLE, 
	CONSTRAINT pk_users PRIMARY KEY (name), 
	CONSTRAINT ck_users_name CHECK (name <> '')
);
CREATE TABLE viewer_log (
	id VARCHAR(64) NOT NULL, 
	run VARCHAR(32) NOT NULL, 
	application VARCHAR(128) NOT NULL, 
	stream VARCHAR(128) NOT NULL, 
	protocol VARCHAR(32) NOT NULL, 
	peer VARCHAR(64) NOT NULL, 
	user_agent TEXT NOT NULL, 
	page_url TEXT NOT NULL, 
	started_at DOUBLE NOT NULL, 
	ended_at DOUBLE, 
	seconds DOUBLE NOT NULL, 
	bytes_out BIGINT NOT NULL, 
	reason TEXT NOT NULL, 
	CONSTRAINT pk_viewer_log PRIMARY KEY (id)
);
CREATE INDEX ix_sessions_owner ON sessions (owner);
CREATE INDEX ix_tokens_owner ON tokens (owner);
CREATE INDEX ix_audit_time ON audit (time);
CREATE INDEX ix_audit_who ON audit (who);
CREATE INDEX ix_audit_action ON audit (action);
CREATE INDEX ix_audit_subject ON audit (subject);
CREATE INDEX ix_statistics_points_span_time ON statistics_points (span, time);
CREATE INDEX ix_viewer_log_started_at_id ON viewer_log (started_at, id);
CREATE INDEX ix_viewer_log_application_stream_started_at ON viewer_log (application, stream, started_at);
CREATE INDEX ix_viewer_log_open ON viewer_log (run) WHERE ended_at IS NULL;
COMMIT;
