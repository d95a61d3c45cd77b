// Package demo tells the story of SMI on one machine: it runs the bookstore,
// applies policy to it piece by piece, and checks after each piece that real
// proxies do what it says.
//
// It uses the standalone runtime as anybody would, through files in a folder
// and requests through sidecars. It never looks at what the runtime made of
// them but for asking explain the same questions.
package demo
