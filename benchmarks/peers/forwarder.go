// A forwarder on golang.org/x/crypto/ssh: what `ssh -N -L` does, and nothing else.
//
//	forwarder USER KEY KNOWN_HOSTS SERVER LISTEN TARGET [LISTEN TARGET]...
package main

import (
	"io"
	"log"
	"net"
	"os"

	"golang.org/x/crypto/ssh"
)

func main() {
	client := connect(os.Args[1], os.Args[2], os.Args[3], os.Args[4])
	for ends := os.Args[5:]; len(ends) >= 2; ends = ends[2:] {
		listener, err := net.Listen("tcp", ends[0])
		check(err)
		go accept(client, listener, ends[1])
	}
	check(client.Wait())
}

func connect(user, key, knownHosts, server string) *ssh.Client {
	text, err := os.ReadFile(key)
	check(err)
	signer, err := ssh.ParsePrivateKey(text)
	check(err)
	text, err = os.ReadFile(knownHosts)
	check(err)
	_, _, hostKey, _, _, err := ssh.ParseKnownHosts(text)
	check(err)
	client, err := ssh.Dial("tcp", server, &ssh.ClientConfig{
		Config:          ssh.Config{Ciphers: []string{"aes128-gcm@openssh.com"}},
		User:            user,
		Auth:            []ssh.AuthMethod{ssh.PublicKeys(signer)},
		HostKeyCallback: ssh.FixedHostKey(hostKey),
	})
	check(err)
	return client
}

func accept(client *ssh.Client, listener net.Listener, target string) {
	for {
		local, err := listener.Accept()
		check(err)
		go forward(client, local.(*net.TCPConn), target)
	}
}

func forward(client *ssh.Client, local *net.TCPConn, target string) {
	defer local.Close()
	remote, err := client.Dial("tcp", target)
	if err != nil {
		log.Print(err)
		return
	}
	defer remote.Close()
	sent := make(chan struct{})
	go func() {
		io.Copy(remote, local)
		remote.(interface{ CloseWrite() error }).CloseWrite()
		close(sent)
	}()
	io.Copy(local, remote)
	local.CloseWrite()
	<-sent
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
