"""MMPose's image demo, over limn: python demo/image_demo.py --help"""

from limn import demos

if __name__ == "__main__":
    demos.main(demos.image)
