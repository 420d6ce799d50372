"""Tests of where ntvmedia.outbound never goes (F-SS-03), with real servers that must see nobody."""

from __future__ import annotations

from tests.outbound.rig import OutboundCase, Server, ok, redirect

PUBLIC = "93.184.216.34"


class ForbiddenTests(OutboundCase):
    """Addresses that the policy refuses."""

    def test_default(self) -> None:
        """F-SS-03: without a setting, nothing on this machine is asked, however it is spelled."""
        self.outbound = self.make_client(allow=[])
        self.names.known = {
            "localhost": [["127.0.0.1", "::1"]],
            "keys.example": [["127.0.0.1"]],
            "zero.example": [["0.0.0.0"]],
            "mapped.example": [["::ffff:127.0.0.1"]],
        }
        server = self.serve(ok(b"1"))
        hosts = (
            *("127.0.0.1", "127.0.0.2", "127.255.255.255", "0.0.0.0", "[::1]", "[::]"),
            *("[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[::127.0.0.1]", "[64:ff9b::127.0.0.1]"),
            *("[2002:7f00:1::]", "localhost", "LOCALHOST.", "keys.example", "zero.example"),
            *("mapped.example", "user:pass@127.0.0.1", "\uff11\uff12\uff17.0.0.1"),
            *("169.254.169.254", "10.0.0.1", "192.168.1.1", "172.16.0.1", "100.64.0.1"),
            *("[fd00:ec2::254]", "[fe80::1]", "255.255.255.255", "224.0.0.1"),
        )
        for waiting in [self.get(f"http://{host}:{server.port}/secret") for host in hosts]:
            problem = self.wait_for_error(waiting)
            self.assertRegex(
                problem, r"^http://[^/]+: \S+ is (an? .*|the machine itself), which outbound"
            )
            self.assertNotIn("secret", problem)
            self.assertNotIn("pass", problem)
        self.assertEqual(server.connections, 0)

    def test_spellings(self) -> None:
        """F-SS-03: decimal, octal and hexadecimal addresses are none, whatever is allowed."""
        server = self.serve(ok(b"1"))
        for host in ("2130706433", "0x7f000001", "017700000001", "127.1", "0177.0.0.1", "127.0.1"):
            problem = self.problem(f"http://{host}:{server.port}/")
            self.assertEqual(problem, "the host is an IPv4 address in an unusual spelling")
        self.assertEqual((server.connections, self.names.asked), (0, []))

    def test_schemes(self) -> None:
        """Nothing but HTTP is asked."""
        for url in ("file:///etc/passwd", "ftp://127.0.0.1/", "gopher://127.0.0.1/", "data:,a"):
            self.assertIn("neither http:// nor https://", self.problem(url))

    def test_allowed(self) -> None:
        """What is allowed is asked, and what is next to it is not."""
        other = self.listen(Server(ok(b"no")), "127.0.0.2")
        self.assertEqual(self.body(self.serve(ok(b"1")).url), b"1")
        self.assertIn("127.0.0.2 is a loopback address", self.problem(other.url))
        self.assertEqual(other.connections, 0)

    def test_names(self) -> None:
        """A name is asked where it means what is allowed; of several addresses only those."""
        other = self.listen(Server(ok(b"no")), "127.0.0.2")
        self.names.known["keys.example"] = [["127.0.0.2", "127.0.0.1"]]
        server = self.serve(ok(b"1"))
        self.assertEqual(self.body(f"http://keys.example:{server.port}/"), b"1")
        problem = self.problem(f"http://keys.example:{other.port}/")
        self.assertEqual(problem, f"http://keys.example:{other.port}: the connection was refused")
        self.assertEqual(other.connections, 0)

    def test_rebinding(self) -> None:
        """F-SS-03: a name that changes its meaning meanwhile does not lead anywhere else.

        It is looked up once for a connection, which goes to what was checked; the next connection
        is checked again.
        """
        inside = self.listen(Server(ok(b"no")), "127.0.0.2")
        self.names.known["keys.example"] = [["127.0.0.1"], ["127.0.0.2"]]
        server = self.serve(lambda peer: peer.send(ok(b"1", b"Connection: close")))
        url = f"http://keys.example:{server.port}/"
        self.assertEqual(self.body(url), b"1")
        self.assertEqual(self.names.asked, ["keys.example"])
        self.until(lambda: not server.peers)
        problem = self.problem(url)
        self.assertIn("127.0.0.2 is a loopback address", problem)
        self.assertEqual(self.names.asked, ["keys.example"] * 2)
        self.assertIn("is a loopback", self.problem(f"http://keys.example:{inside.port}/"))
        self.assertEqual((server.connections, inside.connections), (1, 0))

    def test_system(self) -> None:
        """What the system knows of names is checked like anything else."""
        self.reactor.installNameResolver(self.system_names)
        server = self.serve(ok(b"1"))
        self.assertEqual(self.body(f"http://localhost:{server.port}/"), b"1")
        self.outbound = self.make_client(allow=[])
        self.assertIn("is a loopback address", self.problem(f"http://localhost:{server.port}/"))
        # Names below it do not exist (RFC 6761 6.4).
        problem = self.problem("http://nowhere.invalid/")
        self.assertEqual(problem, "http://nowhere.invalid: its name cannot be looked up")
        self.assertEqual(server.connections, 1)

    def test_refused_and_unknown(self) -> None:
        """A port where nobody listens, and a name that nobody knows, are said in few words."""
        server = self.serve(ok(b"1"))
        self._ports[-1].stopListening()
        self.spin(0.02)
        self.assertEqual(self.problem(server.url), f"{server.url}: the connection was refused")
        problem = self.problem("http://nowhere.example/a?b")
        self.assertEqual(problem, "http://nowhere.example: its name cannot be looked up")


class RedirectTests(OutboundCase):
    """Answers that send us on."""

    def test_followed(self) -> None:
        """All five kinds are followed, from wherever they are relative to."""
        for status in (301, 302, 303, 307, 308):
            server = self.serve(redirect("../b?c#d", status), ok(b"1"))
            self.assertEqual(self.body(f"{server.url}/x/y/z"), b"1")
            lines = [head.split("\r\n")[0] for head in server.requests]
            self.assertEqual(lines, ["GET /x/y/z HTTP/1.1", "GET /x/b?c HTTP/1.1"])

    def test_body_is_not_read(self) -> None:
        """The body of a redirect may be endless: nobody reads it."""
        answer = redirect("/a").replace(b"Content-Length: 0", b"Content-Length: 9999999999")
        server = self.serve(answer + b"x" * 1000, ok(b"1"))
        self.assertEqual(self.body(server.url, limit_bytes=1), b"1")
        self.until(lambda: len(server.peers) == 1)

    def test_forbidden(self) -> None:
        """F-SS-03: a redirect into what is forbidden is an error, and nobody is asked there."""
        inside = self.listen(Server(ok(b"no")), "127.0.0.2")
        self.names.known["inside.example"] = [["127.0.0.2"]]
        for host in ("127.0.0.2", "inside.example", "[::1]", "169.254.169.254"):
            server = self.serve(redirect(f"http://{host}:{inside.port}/latest/meta-data"))
            self.assertRegex(self.problem(server.url), "is a (loopback|link-local) address")
        for location, why in (
            ("file:///etc/passwd", "begins with neither http"),
            ("gopher://127.0.0.1:25/", "begins with neither http"),
            ("http://2130706433/", "unusual spelling"),
            ("http://a\\@127.0.0.1/", "not allowed"),
            ("http://[", "not followed"),
            ("//0x7f.1/", "unusual spelling"),
        ):
            server = self.serve(redirect(location))
            problem = self.problem(server.url)
            self.assertTrue(problem.startswith(f"{server.url}: a redirect that is not followed"))
            self.assertIn(why, problem)
        self.assertEqual(inside.connections, 0)

    def test_nowhere(self) -> None:
        """A redirect needs a place to go to."""
        server = self.serve(b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\n\r\n")
        self.assertEqual(self.problem(server.url), f"{server.url}: a redirect to nowhere")

    def test_loop(self) -> None:
        """F-SS-04: five redirects are followed and no more."""
        server = self.serve(redirect("/a"))
        self.assertEqual(self.problem(server.url), f"{server.url}: more than 5 redirects")
        self.assertEqual(len(server.requests), 6)
        five = self.serve(*[redirect("/a")] * 5, ok(b"1"))
        self.assertEqual(self.body(five.url), b"1")

    def test_time(self) -> None:
        """All redirects together have the time of one request."""
        server = self.serve(
            redirect("/a"),
            lambda peer: self.reactor.callLater(0.1, peer.send, redirect("/b")),
            None,
        )
        self.assertIn("no answer within 0.3 seconds", self.problem(server.url, timeout_seconds=0.3))

    def test_secrets_stay(self) -> None:
        """Fields and passwords that were meant for one server are not given to another."""
        other = self.serve(ok(b"1"))
        server = self.serve(redirect("/again"), redirect(f"{other.url}/there"))
        url = server.url.replace("//", "//me:secret@")
        self.body(url, headers={"X-Token": "secret"})
        for head in server.requests:
            self.assertIn("X-Token: secret", head)
            self.assertIn("Authorization: Basic ", head)
        self.assertEqual((len(server.requests), len(other.requests)), (2, 1))
        self.assertNotIn("X-Token", other.requests[0])
        self.assertNotIn("Authorization", other.requests[0])

    def test_not_kept(self) -> None:
        """Connections to where a redirect led are not kept: there is no end of such servers."""
        other = self.serve(ok(b"1"))
        server = self.serve(redirect(other.url))
        self.body(server.url)
        self.until(lambda: not other.peers)
        self.assertLessEqual(len(server.peers), 1)
