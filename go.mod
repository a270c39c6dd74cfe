module github.com/envharness/envharness

go 1.26
