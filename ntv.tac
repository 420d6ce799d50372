"""The service tree for `twistd -ny ntv.tac`: the defaults, reached from this machine only."""

from twisted.application.service import Application

from ntvmedia.tap import Options, makeService

application = Application("ntvmedia")
options = Options()
options.parseOptions(
    [
        "--set=http.listen=tcp:8080:interface=127.0.0.1",
        "--set=rtmp.listen=tcp:1935:interface=127.0.0.1",
        "--set=rtsp.listen=tcp:8554:interface=127.0.0.1",
    ]
)
makeService(options).setServiceParent(application)
