SET statement_timeout = 0;
SET lock_timeout = 0;
SET idle_in_transaction_session_timeout = 0;
SET client_encoding = 'UTF8';
SET standard_conforming_strings = on;
SELECT pg_catalog.set_config('search_path', '', false);
SET check_function_bodies = false;
SET xmloption = content;
SET client_min_messages = warning;
SET row_security = off;

SET default_tablespace = '';

SET default_table_access_method = heap;

CREATE TABLE public.applications (
    name character varying(128) NOT NULL,
    type character varying(32) NOT NULL,
    enabled boolean NOT NULL,
    outputs json NOT NULL,
    recording character varying(32) NOT NULL,
    publish_password text NOT NULL,
    referers json NOT NULL,
    allow_empty_referer boolean NOT NULL,
    signed boolean NOT NULL,
    encrypted boolean NOT NULL,
    hls_segment_seconds double precision NOT NULL,
    hls_segment_count integer NOT NULL,
    hls_always boolean NOT NULL,
    hls_sessions boolean NOT NULL,
    hls_end_list boolean NOT NULL,
    created_at double precision NOT NULL,
    updated_at double precision NOT NULL,
    hls_key_segments integer NOT NULL,
    hls_key_url text NOT NULL,
    hls_format character varying(8) NOT NULL,
    hls_part_seconds double precision NOT NULL,
    hls_blocking boolean NOT NULL,
    hls_variants json NOT NULL,
    hls_audio_variant boolean NOT NULL,
    rtsp_multicast boolean NOT NULL,
    max_players integer NOT NULL,
    max_publishers integer NOT NULL,
    max_stream_players integer NOT NULL,
    max_bandwidth_kbps integer NOT NULL,
    authorize_url text NOT NULL,
    authorize_failure character varying(8) NOT NULL,
    jwks_url text NOT NULL,
    jwt_issuer text NOT NULL,
    jwt_audience text NOT NULL,
    cut_at_expiry boolean NOT NULL,
    rtmp_authentication boolean NOT NULL,
    CONSTRAINT ck_applications_hls_key_segments CHECK ((hls_key_segments > 0)),
    CONSTRAINT ck_applications_hls_part_seconds CHECK ((hls_part_seconds > (0)::double precision)),
    CONSTRAINT ck_applications_hls_segment_count CHECK ((hls_segment_count > 0)),
    CONSTRAINT ck_applications_hls_segment_seconds CHECK ((hls_segment_seconds > (0)::double precision)),
    CONSTRAINT ck_applications_max_bandwidth_kbps CHECK ((max_bandwidth_kbps >= 0)),
    CONSTRAINT ck_applications_max_players CHECK ((max_players >= 0)),
    CONSTRAINT ck_applications_max_publishers CHECK ((max_publishers >= 0)),
    CONSTRAINT ck_applications_max_stream_players CHECK ((max_stream_players >= 0)),
    CONSTRAINT ck_applications_name CHECK (((name)::text <> ''::text))
);

CREATE TABLE public.audit (
    id bigint NOT NULL,
    "time" double precision NOT NULL,
    who character varying(64) NOT NULL,
    kind character varying(16) NOT NULL,
    session character varying(32) NOT NULL,
    peer_host text NOT NULL,
    action character varying(64) NOT NULL,
    subject text NOT NULL,
    before json,
    after json
);

CREATE SEQUENCE public.audit_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;

ALTER SEQUENCE public.audit_id_seq OWNED BY public.audit.id;

CREATE TABLE public.callbacks (
    id character varying(32) NOT NULL,
    name character varying(128) NOT NULL,
    url text NOT NULL,
    events json NOT NULL,
    method character varying(8) NOT NULL,
    dialect character varying(16) NOT NULL,
    secret text NOT NULL,
    decides boolean NOT NULL,
    on_failure character varying(8) NOT NULL,
    enabled boolean NOT NULL,
    created_at double precision NOT NULL,
    updated_at double precision NOT NULL,
    CONSTRAINT ck_callbacks_id CHECK (((id)::text <> ''::text))
);

CREATE TABLE public.forbidden_streams (
    application character varying(128) NOT NULL,
    stream character varying(128) NOT NULL,
    comment text NOT NULL,
    created_at double precision NOT NULL
);

CREATE TABLE public.ip_rules (
    id character varying(16) NOT NULL,
    network character varying(64) NOT NULL,
    action character varying(8) NOT NULL,
    scopes json NOT NULL,
    enabled boolean NOT NULL,
    comment text NOT NULL,
    created_at double precision NOT NULL,
    updated_at double precision NOT NULL
);

CREATE TABLE public.notifications (
    id bigint NOT NULL,
    callback character varying(32) NOT NULL,
    event_id character varying(64) NOT NULL,
    event character varying(32) NOT NULL,
    lane text NOT NULL,
    facts text NOT NULL,
    created_at double precision NOT NULL
);

CREATE TABLE public.ntvmedia_revision (
    version_num character varying(32) NOT NULL
);

CREATE TABLE public.preferences (
    key character varying(128) NOT NULL,
    value json NOT NULL
);

CREATE TABLE public.pushes (
    id character varying(32) NOT NULL,
    description character varying(200) NOT NULL,
    enabled boolean NOT NULL,
    application character varying(128) NOT NULL,
    streams json NOT NULL,
    server text NOT NULL,
    target_application text NOT NULL,
    target_stream text NOT NULL,
    query text NOT NULL,
    transport character varying(8) NOT NULL,
    stall_seconds double precision NOT NULL,
    created_at double precision NOT NULL,
    updated_at double precision NOT NULL,
    CONSTRAINT ck_pushes_id CHECK (((id)::text <> ''::text)),
    CONSTRAINT ck_pushes_stall_seconds CHECK ((stall_seconds > (0)::double precision))
);

CREATE TABLE public.relays (
    id character varying(32) NOT NULL,
    description character varying(200) NOT NULL,
    enabled boolean NOT NULL,
    on_demand boolean NOT NULL,
    source text NOT NULL,
    fallbacks json NOT NULL,
    recover_seconds double precision NOT NULL,
    transport character varying(8) NOT NULL,
    loop boolean NOT NULL,
    stall_seconds double precision NOT NULL,
    video json NOT NULL,
    audio json NOT NULL,
    renditions json NOT NULL,
    target json NOT NULL,
    created_at double precision NOT NULL,
    updated_at double precision NOT NULL,
    CONSTRAINT ck_relays_id CHECK (((id)::text <> ''::text)),
    CONSTRAINT ck_relays_stall_seconds CHECK ((stall_seconds > (0)::double precision))
);

CREATE TABLE public.sessions (
    id character varying(32) NOT NULL,
    secret_hash character varying(64) NOT NULL,
    owner character varying(64) NOT NULL,
    peer_host text NOT NULL,
    agent text NOT NULL,
    created_at double precision NOT NULL,
    used_at double precision NOT NULL
);

CREATE TABLE public.share_links (
    id character varying(16) NOT NULL,
    name text NOT NULL,
    application character varying(128) NOT NULL,
    stream character varying(128) NOT NULL,
    expires_at double precision NOT NULL,
    max_viewers integer NOT NULL,
    created_at double precision NOT NULL,
    updated_at double precision NOT NULL,
    CONSTRAINT ck_share_links_max_viewers CHECK ((max_viewers >= 0))
);

CREATE TABLE public.signing_keys (
    id character varying(32) NOT NULL,
    application character varying(128) NOT NULL,
    secret character varying(64) NOT NULL,
    enabled boolean NOT NULL,
    comment text NOT NULL,
    created_at double precision NOT NULL,
    updated_at double precision NOT NULL
);

CREATE TABLE public.statistics_days (
    day date NOT NULL,
    application character varying(128) NOT NULL,
    stream character varying(128) NOT NULL,
    protocol character varying(32) NOT NULL,
    viewers bigint NOT NULL,
    peak bigint NOT NULL,
    seconds double precision NOT NULL,
    bytes_in bigint NOT NULL,
    bytes_out bigint NOT NULL,
    publishes bigint NOT NULL
);

CREATE TABLE public.statistics_points (
    span integer NOT NULL,
    application character varying(128) NOT NULL,
    "time" double precision NOT NULL,
    viewers bigint NOT NULL,
    publishers bigint NOT NULL,
    seconds double precision NOT NULL,
    bytes_in bigint NOT NULL,
    bytes_out bigint NOT NULL
);

CREATE TABLE public.statistics_refusals (
    day date NOT NULL,
    application character varying(128) NOT NULL,
    protocol character varying(32) NOT NULL,
    rule character varying(32) NOT NULL,
    refused bigint NOT NULL
);

CREATE TABLE public.statistics_runs (
    run character varying(32) NOT NULL,
    batch bigint NOT NULL,
    written_at double precision NOT NULL
);

CREATE TABLE public.stream_labels (
    application character varying(128) NOT NULL,
    stream character varying(128) NOT NULL,
    label character varying(200) NOT NULL,
    CONSTRAINT ck_stream_labels_label CHECK (((label)::text <> ''::text))
);

CREATE TABLE public.tokens (
    id character varying(32) NOT NULL,
    secret_hash character varying(64) NOT NULL,
    owner character varying(64) NOT NULL,
    name character varying(128) NOT NULL,
    role character varying(32) NOT NULL,
    created_at double precision NOT NULL,
    expires_at double precision,
    used_at double precision
);

CREATE TABLE public.users (
    name character varying(64) NOT NULL,
    role character varying(32) NOT NULL,
    enabled boolean NOT NULL,
    password_hash text NOT NULL,
    password_changed_at double precision NOT NULL,
    created_at double precision NOT NULL,
    updated_at double precision NOT NULL,
    logged_in_at double precision,
    CONSTRAINT ck_users_name CHECK (((name)::text <> ''::text))
);

CREATE TABLE public.viewer_log (
    id character varying(64) NOT NULL,
    run character varying(32) NOT NULL,
    application character varying(128) NOT NULL,
    stream character varying(128) NOT NULL,
    protocol character varying(32) NOT NULL,
    peer character varying(64) NOT NULL,
    user_agent text NOT NULL,
    page_url text NOT NULL,
    started_at double precision NOT NULL,
    ended_at double precision,
    seconds double precision NOT NULL,
    bytes_out bigint NOT NULL,
    reason text NOT NULL
);

ALTER TABLE ONLY public.audit ALTER COLUMN id SET DEFAULT nextval('public.audit_id_seq'::regclass);

INSERT INTO public.applications VALUES ('liveshow', 'live', true, '["rtmp", "flv", "ts", "hls", "rtsp"]', 'manual', '', '[]', true, false, false, 2, 7, false, true, false, 1795370297.6033206, 1795370297.6033206, 10, '', 'ts', 0.2, true, '[]', true, false, 0, 0, 0, 0, '', 'deny', '', '', '', false, false);
INSERT INTO public.applications VALUES ('tv', 'time-shift', true, '["rtmp", "flv", "ts", "hls", "rtsp"]', 'manual', '', '[]', true, false, false, 2, 7, false, true, false, 1795370297.6033206, 1795370297.6033206, 10, '', 'ts', 0.2, true, '[]', true, false, 0, 0, 0, 0, '', 'deny', '', '', '', false, false);
INSERT INTO public.applications VALUES ('audio', 'audio', true, '["rtmp", "flv", "ts", "hls", "rtsp"]', 'manual', '', '[]', true, false, false, 2, 7, false, true, false, 1795370297.6033206, 1795370297.6033206, 10, '', 'ts', 0.2, true, '[]', true, false, 0, 0, 0, 0, '', 'deny', '', '', '', false, false);
INSERT INTO public.applications VALUES ('vod', 'vod', true, '["rtmp", "flv", "ts", "hls", "rtsp"]', 'manual', '', '[]', true, false, false, 2, 7, false, true, false, 1795370297.6033206, 1795370297.6033206, 10, '', 'ts', 0.2, true, '[]', true, false, 0, 0, 0, 0, '', 'deny', '', '', '', false, false);
INSERT INTO public.applications VALUES ('Über-uns', 'vod', false, '["hls"]', 'manual', 'it''s \ " secret', '["example.org", "b\u00fccher.example"]', false, true, false, 4.5, 12, true, false, true, 1700000000.125, 1700000000.25, 10, '', 'ts', 0.2, true, '[]', true, false, 0, 0, 0, 0, '', 'deny', '', '', '', false, false);
INSERT INTO public.applications VALUES ('empty', 'live', true, '[]', 'manual', '', '[]', true, false, false, 2, 7, false, true, false, 1700000000.125, 1700000000.25, 10, '', 'ts', 0.2, true, '[]', true, false, 0, 0, 0, 0, '', 'deny', '', '', '', false, false);
INSERT INTO public.applications VALUES ('every.field-2', 'live', true, '["rtmp", "flv"]', 'manual', '', '[]', true, false, true, 2, 7, false, true, false, 1700000000.125, 1700000000.25, 3, 'https://me:it''s@keys.example/{application}/{stream}/{key}?token=%24', 'll', 0.333, false, '["_720p", "_\u00fc"]', false, false, 0, 0, 0, 0, '', 'deny', '', '', '', false, false);
INSERT INTO public.applications VALUES ('groups', 'live', true, '["rtmp", "flv"]', 'manual', '', '[]', true, false, false, 2, 7, false, true, false, 1700000000.125, 1700000000.25, 10, '', 'ts', 0.2, true, '[]', true, true, 0, 0, 0, 0, '', 'deny', '', '', '', false, false);
INSERT INTO public.applications VALUES ('guarded', 'live', true, '["rtmp", "flv"]', 'manual', '', '[]', true, false, false, 2, 7, false, true, false, 1700000000.125, 1700000000.25, 10, '', 'ts', 0.2, true, '[]', true, false, 7, 2, 5, 100000, 'https://me:it''s@business.example/may?token=%24', 'allow', 'https://keys.example/jwks.json', 'https://issuer.example', 'ntvmedia', true, true);

INSERT INTO public.ntvmedia_revision VALUES ('0005');

INSERT INTO public.signing_keys VALUES ('default', '', '', true, '', 0, 0);

SELECT pg_catalog.setval('public.audit_id_seq', 1, false);

ALTER TABLE ONLY public.ntvmedia_revision
    ADD CONSTRAINT ntvmedia_revision_pkc PRIMARY KEY (version_num);

ALTER TABLE ONLY public.applications
    ADD CONSTRAINT pk_applications PRIMARY KEY (name);

ALTER TABLE ONLY public.audit
    ADD CONSTRAINT pk_audit PRIMARY KEY (id);

ALTER TABLE ONLY public.callbacks
    ADD CONSTRAINT pk_callbacks PRIMARY KEY (id);

ALTER TABLE ONLY public.forbidden_streams
    ADD CONSTRAINT pk_forbidden_streams PRIMARY KEY (application, stream);

ALTER TABLE ONLY public.ip_rules
    ADD CONSTRAINT pk_ip_rules PRIMARY KEY (id);

ALTER TABLE ONLY public.notifications
    ADD CONSTRAINT pk_notifications PRIMARY KEY (id);

ALTER TABLE ONLY public.preferences
    ADD CONSTRAINT pk_preferences PRIMARY KEY (key);

ALTER TABLE ONLY public.pushes
    ADD CONSTRAINT pk_pushes PRIMARY KEY (id);

ALTER TABLE ONLY public.relays
    ADD CONSTRAINT pk_relays PRIMARY KEY (id);

ALTER TABLE ONLY public.sessions
    ADD CONSTRAINT pk_sessions PRIMARY KEY (id);

ALTER TABLE ONLY public.share_links
    ADD CONSTRAINT pk_share_links PRIMARY KEY (id);

ALTER TABLE ONLY public.signing_keys
    ADD CONSTRAINT pk_signing_keys PRIMARY KEY (id);

ALTER TABLE ONLY public.statistics_days
    ADD CONSTRAINT pk_statistics_days PRIMARY KEY (day, application, stream, protocol);

ALTER TABLE ONLY public.statistics_points
    ADD CONSTRAINT pk_statistics_points PRIMARY KEY (span, application, "time");

ALTER TABLE ONLY public.statistics_refusals
    ADD CONSTRAINT pk_statistics_refusals PRIMARY KEY (day, application, protocol, rule);

ALTER TABLE ONLY public.statistics_runs
    ADD CONSTRAINT pk_statistics_runs PRIMARY KEY (run);

ALTER TABLE ONLY public.stream_labels
    ADD CONSTRAINT pk_stream_labels PRIMARY KEY (application, stream);

ALTER TABLE ONLY public.tokens
    ADD CONSTRAINT pk_tokens PRIMARY KEY (id);

ALTER TABLE ONLY public.users
    ADD CONSTRAINT pk_users PRIMARY KEY (name);

ALTER TABLE ONLY public.viewer_log
    ADD CONSTRAINT pk_viewer_log PRIMARY KEY (id);

ALTER TABLE ONLY public.sessions
    ADD CONSTRAINT uq_sessions_secret_hash UNIQUE (secret_hash);

ALTER TABLE ONLY public.tokens
    ADD CONSTRAINT uq_tokens_secret_hash UNIQUE (secret_hash);

CREATE INDEX ix_audit_action ON public.audit USING btree (action);

CREATE INDEX ix_audit_subject ON public.audit USING btree (subject);

CREATE INDEX ix_audit_time ON public.audit USING btree ("time");

CREATE INDEX ix_audit_who ON public.audit USING btree (who);

CREATE INDEX ix_sessions_owner ON public.sessions USING btree (owner);

CREATE INDEX ix_statistics_points_span_time ON public.statistics_points USING btree (span, "time");

CREATE INDEX ix_tokens_owner ON public.tokens USING btree (owner);

CREATE INDEX ix_viewer_log_application_stream_started_at ON public.viewer_log USING btree (application, stream, started_at);

CREATE INDEX ix_viewer_log_open ON public.viewer_log USING btree (run) WHERE (ended_at IS NULL);

CREATE INDEX ix_viewer_log_started_at_id ON public.viewer_log USING btree (started_at, id);

ALTER TABLE ONLY public.sessions
    ADD CONSTRAINT fk_sessions_owner FOREIGN KEY (owner) REFERENCES public.users(name) ON DELETE CASCADE;

ALTER TABLE ONLY public.tokens
    ADD CONSTRAINT fk_tokens_owner FOREIGN KEY (owner) REFERENCES public.users(name) ON DELETE CASCADE;
