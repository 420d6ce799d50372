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
    CONSTRAINT ck_applications_hls_key_segments CHECK ((hls_key_segments > 0)),
    CONSTRAINT ck_applications_hls_part_seconds CHECK ((hls_part_seconds > (0)::double precision)),
    CONSTRAINT ck_applications_hls_segment_count CHECK ((hls_segment_count > 0)),
    CONSTRAINT ck_applications_hls_segment_seconds CHECK ((hls_segment_seconds > (0)::double precision)),
    CONSTRAINT ck_applications_name CHECK (((name)::text <> ''::text))
);

CREATE TABLE public.ntvmedia_revision (
    version_num character varying(32) NOT NULL
);

INSERT INTO public.applications VALUES ('liveshow', 'live', true, '["rtmp", "flv", "ts", "hls", "rtsp"]', 'manual', '', '[]', true, false, false, 2, 7, false, true, false, 1795353179.4305682, 1795353179.4305682, 10, '', 'ts', 0.2, true, '[]', true, false);
INSERT INTO public.applications VALUES ('tv', 'time-shift', true, '["rtmp", "flv", "ts", "hls", "rtsp"]', 'manual', '', '[]', true, false, false, 2, 7, false, true, false, 1795353179.4305682, 1795353179.4305682, 10, '', 'ts', 0.2, true, '[]', true, false);
INSERT INTO public.applications VALUES ('audio', 'audio', true, '["rtmp", "flv", "ts", "hls", "rtsp"]', 'manual', '', '[]', true, false, false, 2, 7, false, true, false, 1795353179.4305682, 1795353179.4305682, 10, '', 'ts', 0.2, true, '[]', true, false);
INSERT INTO public.applications VALUES ('vod', 'vod', true, '["rtmp", "flv", "ts", "hls", "rtsp"]', 'manual', '', '[]', true, false, false, 2, 7, false, true, false, 1795353179.4305682, 1795353179.4305682, 10, '', 'ts', 0.2, true, '[]', true, false);
INSERT INTO public.applications VALUES ('Über-uns', 'vod', false, '["hls"]', 'manual', 'it''s \ " secret', '["example.org", "b\u00fccher.example"]', false, true, false, 4.5, 12, true, false, true, 1700000000.125, 1700000000.25, 10, '', 'ts', 0.2, true, '[]', true, false);
INSERT INTO public.applications VALUES ('empty', 'live', true, '[]', 'manual', '', '[]', true, false, false, 2, 7, false, true, false, 1700000000.125, 1700000000.25, 10, '', 'ts', 0.2, true, '[]', true, false);
INSERT INTO public.applications VALUES ('every.field-2', 'live', true, '["rtmp", "flv"]', 'manual', '', '[]', true, false, true, 2, 7, false, true, false, 1700000000.125, 1700000000.25, 3, 'https://me:it''s@keys.example/{application}/{stream}/{key}?token=%24', 'll', 0.333, false, '["_720p", "_\u00fc"]', false, false);
INSERT INTO public.applications VALUES ('groups', 'live', true, '["rtmp", "flv"]', 'manual', '', '[]', true, false, false, 2, 7, false, true, false, 1700000000.125, 1700000000.25, 10, '', 'ts', 0.2, true, '[]', true, true);

INSERT INTO public.ntvmedia_revision VALUES ('0003');

ALTER TABLE ONLY public.ntvmedia_revision
    ADD CONSTRAINT ntvmedia_revision_pkc PRIMARY KEY (version_num);

ALTER TABLE ONLY public.applications
    ADD CONSTRAINT pk_applications PRIMARY KEY (name);
