BEGIN TRANSACTION;
CREATE TABLE applications (
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
	CONSTRAINT pk_applications PRIMARY KEY (name), 
	CONSTRAINT ck_applications_name CHECK (name <> ''), 
	CONSTRAINT ck_applications_hls_segment_seconds CHECK (hls_segment_seconds > 0), 
	CONSTRAINT ck_applications_hls_segment_count CHECK (hls_segment_count > 0)
);
INSERT INTO "applications" VALUES('liveshow','live',1,'["rtmp", "flv", "ts", "hls", "rtsp"]','manual','','[]',1,0,0,2.0,7,0,1,0,1.79531663265841126444e+09,1.79531663265841126444e+09);
INSERT INTO "applications" VALUES('tv','time-shift',1,'["rtmp", "flv", "ts", "hls", "rtsp"]','manual','','[]',1,0,0,2.0,7,0,1,0,1.79531663265841126444e+09,1.79531663265841126444e+09);
INSERT INTO "applications" VALUES('audio','audio',1,'["rtmp", "flv", "ts", "hls", "rtsp"]','manual','','[]',1,0,0,2.0,7,0,1,0,1.79531663265841126444e+09,1.79531663265841126444e+09);
INSERT INTO "applications" VALUES('vod','vod',1,'["rtmp", "flv", "ts", "hls", "rtsp"]','manual','','[]',1,0,0,2.0,7,0,1,0,1.79531663265841126444e+09,1.79531663265841126444e+09);
INSERT INTO "applications" VALUES('Über-uns','vod',0,'["hls"]','manual','it''s \ " secret','["example.org", "b\u00fccher.example"]',0,1,0,4.5,12,1,0,1,1700000000.125,1700000000.25);
INSERT INTO "applications" VALUES('empty','live',1,'[]','manual','','[]',1,0,0,2.0,7,0,1,0,1700000000.125,1700000000.25);
CREATE TABLE ntvmedia_revision (
	version_num VARCHAR(32) NOT NULL, 
	CONSTRAINT ntvmedia_revision_pkc PRIMARY KEY (version_num)
);
INSERT INTO "ntvmedia_revision" VALUES('0001');
COMMIT;
