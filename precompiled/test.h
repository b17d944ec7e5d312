// GoogleTest, with what nearly every test includes.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "precompiled/standard.h"
