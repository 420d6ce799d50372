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
	CONSTRAINT pk_applications PRIMARY KEY (name), 
	CONSTRAINT ck_applications_hls_segment_count CHECK (hls_segment_count > 0), 
	CONSTRAINT ck_applications_name CHECK (name <> ''), 
	CONSTRAINT ck_applications_hls_part_seconds CHECK (hls_part_seconds > 0), 
	CONSTRAINT ck_applications_hls_key_segments CHECK (hls_key_segments > 0), 
	CONSTRAINT ck_applications_hls_segment_seconds CHECK (hls_segment_seconds > 0)
);
INSERT INTO "applications" VALUES('liveshow','live',1,'["rtmp", "flv", "ts", "hls", "rtsp"]','manual','','[]',1,0,0,2.0,7,0,1,0,1.79535317902660703651e+09,1.79535317902660703651e+09,10,'','ts',0.2,1,'[]',1,0);
INSERT INTO "applications" VALUES('tv','time-shift',1,'["rtmp", "flv", "ts", "hls", "rtsp"]','manual','','[]',1,0,0,2.0,7,0,1,0,1.79535317902660703651e+09,1.79535317902660703651e+09,10,'','ts',0.2,1,'[]',1,0);
INSERT INTO "applications" VALUES('audio','audio',1,'["rtmp", "flv", "ts", "hls", "rtsp"]','manual','','[]',1,0,0,2.0,7,0,1,0,1.79535317902660703651e+09,1.79535317902660703651e+09,10,'','ts',0.2,1,'[]',1,0);
INSERT INTO "applications" VALUES('vod','vod',1,'["rtmp", "flv", "ts", "hls", "rtsp"]','manual','','[]',1,0,0,2.0,7,0,1,0,1.79535317902660703651e+09,1.79535317902660703651e+09,10,'','ts',0.2,1,'[]',1,0);
INSERT INTO "applications" VALUES('Über-uns','vod',0,'["hls"]','manual','it''s \ " secret','["example.org", "b\u00fccher.example"]',0,1,0,4.5,12,1,0,1,1700000000.125,1700000000.25,10,'','ts',0.2,1,'[]',1,0);
INSERT INTO "applications" VALUES('empty','live',1,'[]','manual','','[]',1,0,0,2.0,7,0,1,0,1700000000.125,1700000000.25,10,'','ts',0.2,1,'[]',1,0);
INSERT INTO "applications" VALUES('every.field-2','live',1,'["rtmp", "flv"]','manual','','[]',1,0,1,2.0,7,0,1,0,1700000000.125,1700000000.25,3,'https://me:it''s@keys.example/{application}/{stream}/{key}?token=%24','ll',0.333,0,'["_720p", "_\u00fc"]',0,0);
INSERT INTO "applications" VALUES('groups','live',1,'["rtmp", "flv"]','manual','','[]',1,0,0,2.0,7,0,1,0,1700000000.125,1700000000.25,10,'','ts',0.2,1,'[]',1,1);
CREATE TABLE ntvmedia_revision (
	version_num VARCHAR(32) NOT NULL, 
	CONSTRAINT ntvmedia_revision_pkc PRIMARY KEY (version_num)
);
INSERT INTO "ntvmedia_revision" VALUES('0003');
COMMIT;
